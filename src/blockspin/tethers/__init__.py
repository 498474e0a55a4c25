"""KNOWN ANSWERS: one system of the literature a file, pairing its numbers with our own computation of them."""
