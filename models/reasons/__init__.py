"""Reasons a person would give: which fact of a customer's history stands for a theme, in a sentence per language."""
