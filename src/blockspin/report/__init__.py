"""One run folder in, one self-contained HTML file out; one section a file."""
