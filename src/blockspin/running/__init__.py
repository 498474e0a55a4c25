"""Running: couplings along a flow with their joint errors, and what follows from how they run."""
