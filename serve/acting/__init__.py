"""Acting on scores: cases, contacts and what came of them. Plain functions on a connection."""
