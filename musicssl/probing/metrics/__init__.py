"""Metrics as `evaluate` modules that need no network: import the class, or `evaluate.load(PATH_OF_THE_FILE)`."""
