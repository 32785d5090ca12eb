"""The files of a run: checkpoints, metrics, curves, environment."""
