"""Buy till you die: purchase processes fitted to repeat purchases, and what they predict for each customer."""
