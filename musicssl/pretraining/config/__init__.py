"""The configuration of a run: flags and recipes, parsed and checked before any heavy work."""
