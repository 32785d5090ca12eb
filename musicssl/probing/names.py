"""Names that the flags of `musicssl probe` take, apart from what they stand for, which loads torch."""

from musicssl.errors import UserError

RANDOM_PREFIX = "random:"
ACOUSTIC_FEATURE_NAMES = ("mfcc", "chroma", "cqt", "logmel")
KIND_NAMES = ("multiclass", "multilabel", "regression", "key", "beat")


def check_kind(name: str) -> None:
    """Raise UserError unless there is a kind of label called `name`."""
    if name not in KIND_NAMES:
        raise UserError(f"--type {name}: unknown kind of label; available: {', '.join(KIND_NAMES)}")
