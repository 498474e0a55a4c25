"""Networks small enough to train on the spot, with checkpoints and a known answer."""
