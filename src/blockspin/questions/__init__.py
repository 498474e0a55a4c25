"""One question of the roadmap a file: flows and ensembles in, an Answer out; the contract is ``base``."""
