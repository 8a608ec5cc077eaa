"""Errors whose message tells the user everything: what was expected, what came, what to do."""


class FedeltaError(Exception):
    """Shown as one line, without a traceback."""
