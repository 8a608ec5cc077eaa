"""MLflow's runs and versions, the promotion gate and its log, lineage."""
