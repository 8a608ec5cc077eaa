"""Signs that a column, row or date knows the outcome it is used to predict."""
