"""One scorer for batches, commands and the service: histories in, rows of the scores' contract out."""
