"""Whether customers, features and performance are still those that the models were trained on."""
