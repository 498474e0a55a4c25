"""Any module and its inputs to joint batches of activations, and back: rerun with an edit."""
