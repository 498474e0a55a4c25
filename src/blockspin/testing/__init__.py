"""Conformance checks, exact worlds, broken controls; shipped, so that users can check a scheme of their own."""
