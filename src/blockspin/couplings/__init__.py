"""Parameters of an ASSUMED effective theory, always with a goodness of fit; the contract is ``base``."""
