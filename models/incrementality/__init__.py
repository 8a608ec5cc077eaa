"""What contacting achieved: treated against held-out customers from entry, with intervals that hold at every look."""
