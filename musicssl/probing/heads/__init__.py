"""Probing heads: many trained at once, the tensors they train on, their scores."""
