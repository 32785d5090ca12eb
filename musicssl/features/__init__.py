"""Use a model: features of files of any length, neighbours, export."""
