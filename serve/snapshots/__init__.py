"""Scoring runs as they are served: one immutable file each, written once."""
