"""Whether groups of customers are treated equally: calibration, errors and contacts by protected attribute."""
