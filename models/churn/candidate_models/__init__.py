"""The candidates of the churn model: a module here declares some in ``CANDIDATES``, and needs no other edit."""
