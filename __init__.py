"""Churn, lifetime value and loyalty from interaction histories."""
