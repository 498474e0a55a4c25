"""How a pass over shards is carried out, and the error bars of what it measures; the contract is ``base``."""
