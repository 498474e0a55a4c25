"""WHICH axis the scale runs along: ``iterate`` computes a flow, the others read one off a network."""
