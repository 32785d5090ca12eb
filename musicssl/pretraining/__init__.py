"""Pre-training: from audio to a checkpoint, resumable at every point."""
