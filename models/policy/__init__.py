"""What to do about a score: tiers, value at risk, economics, the contact plan, the control group."""
