"""Scores made now: on demand from raw interactions, and anew when something happens to a customer."""
