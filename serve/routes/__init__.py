"""What the service answers, a module per matter."""
