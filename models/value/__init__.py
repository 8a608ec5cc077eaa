"""What customers will spend: the candidate models, their selection, and the model with its interval."""
