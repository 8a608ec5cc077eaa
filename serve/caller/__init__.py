"""What every request passes before its route: limits, keys, errors."""
