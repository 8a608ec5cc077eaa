"""Interactions hashed into buckets of whole customers, and what is computed bucket by bucket."""
