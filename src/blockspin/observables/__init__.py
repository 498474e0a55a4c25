"""Numbers of an ensemble, or of a pair of ensembles, with no model assumed; the contract is ``base``."""
