"""The operational database: keys, tenants, which snapshot is current, what was done, what is to be told."""
