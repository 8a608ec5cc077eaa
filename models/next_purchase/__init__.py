"""What a customer buys next: the chance of a purchase in each category within the horizon."""
