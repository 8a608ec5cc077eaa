"""How it is used: the scoring service and its database."""
