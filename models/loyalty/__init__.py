"""Loyalty classes after Dick and Basu, the evidence for them, and personas."""
