"""What the two command-line scripts share: the audio stream, the training loop, the probes and the Hub."""

__version__ = "0.1.0"


def __getattr__(name: str):
    # `musicssl.extract(model, path)`, imported when it is used: `import musicssl` must not load torch.
    if name == "extract":
        from musicssl.features.extract import extract

        return extract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
