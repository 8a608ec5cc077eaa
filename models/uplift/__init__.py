"""Whom contacting helps: effects per customer, and the gate they must pass before they rank anybody."""
