"""Probing heads: many at once, their data, losses and test scores."""
