"""What we know about a customer at a cutoff: pure functions of one bucket of interactions."""
