"""WHAT is forgotten in one step: one coarse-graining a file. Start with ``block_average``; the contract is ``base``."""
