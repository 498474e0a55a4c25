"""Interventions: how given features couple, and whether shifting one moves the others as their couplings predict."""
