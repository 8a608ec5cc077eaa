"""Reasons a person would give: which fact of a customer's history tells of a theme, and its sentence in each language."""
