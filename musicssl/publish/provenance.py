"""Where every number of a model card comes from, and the search for numbers without a source."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from musicssl.errors import UserError

# A digit right after a letter belongs to a name (music2vec, layer6); any other is a number.
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)*(?:[eE][-+]?\d+)?")
_READERS: dict[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".yaml": yaml.safe_load,
    ".jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
}


@dataclass
class Ledger:
    """Formats values for a card and remembers the file and field that each was read from.

    Attributes:
        directory: the folder that the files are in.
        entries: text -> its source, "results.json: tasks/gtzan/metrics/accuracy/mean" for example.
    """

    directory: Path
    entries: dict[str, str] = field(default_factory=dict)

    def read(self, name: str) -> Any:
        """The parsed content of a .json, .jsonl or .yaml file; None when the file does not exist."""
        path = self.directory / name
        return _READERS[path.suffix](path.read_text(encoding="utf-8")) if path.is_file() else None

    def quote(self, value: object, source: str, form: str = "") -> str:
        """The text of a value read from `source`, as `format(value, form)` writes it."""
        return self.cite(format(value, form) if form else str(value), source)

    def cite(self, text: str, source: str) -> str:
        """A text that is quoted with the numbers in it."""
        self.entries.setdefault(text, source)
        return text

    def unsupported(self, document: str) -> list[str]:
        """The numbers of a Markdown document that have no source."""
        return unsupported_numbers(document.replace("\\|", "|"), self.entries)

    def check(self, card: str, of: object) -> None:
        """Raise UserError when the card of a model or recipe shows a number without a source."""
        if numbers := self.unsupported(card):
            raise UserError(f"the card of {of} shows numbers without a source: {', '.join(sorted(set(numbers)))}")


def unsupported_numbers(document: str, supported: Iterable[str]) -> list[str]:
    """The numbers of a text that are not among the supported texts.

    A supported text that is more than a number (a name, a sentence, a path) supports its numbers only where it occurs
    word for word.
    """
    numbers = {text for text in supported if _NUMBER.fullmatch(text.lstrip("-+"))}
    phrases = sorted((text for text in supported if text not in numbers and _NUMBER.search(text)), key=len)
    for phrase in reversed(phrases):
        document = document.replace(phrase, " ")
    unsigned = {text.lstrip("-+") for text in numbers}
    return [token for token in _NUMBER.findall(document) if token not in unsigned]
