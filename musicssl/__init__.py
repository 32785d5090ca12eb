"""What the two command-line scripts share: the audio stream, the training loop, the probes and the Hub."""

__version__ = "0.1.0"
