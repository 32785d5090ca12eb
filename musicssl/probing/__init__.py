"""Probing: what a frozen audio encoder knows, measured with one small head on every layer."""
