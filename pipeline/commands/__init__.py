"""The commands of `fedelta` that are no stages."""
