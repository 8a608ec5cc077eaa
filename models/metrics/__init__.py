"""How good a prediction is: rankings, probabilities, profit, amounts, and how certain each figure is."""
