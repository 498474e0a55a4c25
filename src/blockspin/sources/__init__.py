"""WHERE microscopic things come from: lattice models, data sets, networks; the contract is ``base``."""
