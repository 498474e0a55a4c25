"""One file format a file: how records are read from disk."""
