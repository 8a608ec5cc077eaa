"""From a company's files and databases to the canonical tables: reading, checking, quarantine, reconciliation."""
