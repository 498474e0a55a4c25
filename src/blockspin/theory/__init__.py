"""Exact results with the paper's symbols inside and words outside, importing nothing that they are compared with."""
