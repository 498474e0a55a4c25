"""HOW a source is read as an ensemble: pooled, tokens, windows, n-grams, raw; the contract is ``base``."""
