"""What churn and value share when they learn: boosting, seasons, calibration, intervals, bias correction."""
