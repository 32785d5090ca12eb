"""What a run is asked to do: flags and recipes, parsed and checked before any heavy work."""
