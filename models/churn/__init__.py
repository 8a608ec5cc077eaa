"""Who will leave: the candidate models, how they are weighed against each other, and the model that results."""
