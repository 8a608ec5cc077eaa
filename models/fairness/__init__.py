"""Whether customers of different groups are treated as well: calibration, errors and contacts by protected attribute."""
