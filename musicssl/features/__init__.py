"""Use a model: features of audio files of any length, similar clips, export."""
