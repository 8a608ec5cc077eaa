"""The operational database: keys, tenants, which snapshot is current, what was done, messages to others."""
