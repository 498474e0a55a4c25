"""Spectra: the singular values of a network's weights, read with random-matrix surrogates."""
