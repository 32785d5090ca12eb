"""Helpers that several kinds share to read and describe labels."""

import ast
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def split_list(value: Any, separators: str) -> list[str]:
    """A list, the text of one ("[1, 2]"), or text split at `separators` (a regular expression) -> items as text."""
    if isinstance(value, str):
        if value.strip().startswith("["):
            value = ast.literal_eval(value.strip())
        else:
            value = re.split(separators, value.strip())
    return [str(item).strip() for item in value if str(item).strip()]


def in_natural_order(names: Collection[str]) -> tuple[str, ...]:
    """Distinct names, numbers by their value and before words."""

    def place(name: str) -> tuple:
        try:
            return (0, float(name), name)
        except ValueError:
            return (1, 0.0, name)

    return tuple(sorted(set(names), key=place))


def notes_on_missing_classes(vocabulary: Sequence[str], seen: Mapping[str, Counter]) -> list[str]:
    """Name the classes that a split lacks: they cannot be learned, or are not tested.

    Args:
        seen: split -> how many of its clips have each class, by index.
    """
    notes = []
    for index, name in enumerate(vocabulary):
        elsewhere = seen["validation"][index] + seen["test"][index]
        if not seen["train"][index] and elsewhere:
            notes.append(f"label {name!r} is missing from train: its {elsewhere} clips elsewhere count as wrong")
    untested = [name for index, name in enumerate(vocabulary) if not seen["test"][index]]
    if untested:
        shown = ", ".join(untested[:10]) + (" ..." if len(untested) > 10 else "")
        notes.append(f"{len(untested)} of {len(vocabulary)} labels have no test clip: {shown}")
    return notes
