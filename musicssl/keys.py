"""The names of the 24 keys, in one order: C to B major, then C to B minor."""

import re

TONICS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
MODES = ("major", "minor")
KEYS = tuple(f"{tonic} {mode}" for mode in MODES for tonic in TONICS)
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"#": 1, "♯": 1, "b": -1, "♭": -1, "": 0}


def parse_key(text: str) -> int:
    """The index in `KEYS` of "F# minor", "Gbm" or "A:maj"; a name without a mode is major.

    Raises:
        ValueError: `text` does not name a key.
    """
    match = re.fullmatch(r"\s*([A-Ga-g])([#b♯♭]?)[\s:_-]*(major|maj|minor|min|m)?\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is not a key like 'F# minor'")
    letter, sign, mode = match.groups()
    is_minor = mode in ("minor", "min", "m")
    return (_LETTERS[letter.upper()] + _SIGNS[sign]) % 12 + 12 * is_minor
