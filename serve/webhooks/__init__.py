"""Webhooks: what happened, sent to others as Standard Webhooks has it."""
