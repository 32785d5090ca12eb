"""Convert checkpoints of the reference implementation (fairseq) and of stock transformers to ours, and back."""

TARGETS = ("ours", "stock", "fairseq")


def __getattr__(name: str):
    # Imported when asked for: `musicssl --help` must not load torch.
    if name == "load_fairseq_weights":
        from musicssl.convert.fairseq import load_fairseq_weights

        return load_fairseq_weights
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
