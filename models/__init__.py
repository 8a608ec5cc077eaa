"""What we learn from the features: churn, lifetime value, baselines, calibration, metrics."""
