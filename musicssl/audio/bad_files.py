"""The record of the clips that were left out: bad_files.jsonl, one line per clip, each clip once."""

import json
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from musicssl.audio.decode import BadAudio
from musicssl.errors import UserError


class BadFiles:
    """The clips that were left out, with the reason; all ranks that see the same file share it.

    Args:
        path: where to write rows of {"path", "reason", "kind"}; None keeps the record in memory only. `kind` is
            "damaged", or "short" for an intact clip below the wanted length, which does not count against
            `max_bad_fraction`.
    """

    def __init__(self, path: str | Path | None = None):
        self.path = None if path is None else Path(path)
        self._kinds: dict[str, str] = {}
        if self.path is not None and self.path.exists():
            self._kinds.update(_read(self.path.read_text(encoding="utf-8")))

    @property
    def num_damaged(self) -> int:
        return sum(kind == "damaged" for kind in self._kinds.values())

    @property
    def num_short(self) -> int:
        return len(self._kinds) - self.num_damaged

    @property
    def where(self) -> str:
        """Where the record is, as the end of an error message."""
        return "" if self.path is None else f"; the list is {self.path}"

    def record(self, errors: Iterable[BadAudio]) -> None:
        """Add the clips that these errors name, unless they are on record."""
        new = {error.source: error for error in errors if error.source not in self._kinds}
        if not new:
            return
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
            with lock, open(self.path, "a+", encoding="utf-8") as stream:
                # Another rank may have met the clip in an earlier epoch.
                stream.seek(0)
                self._kinds.update(_read(stream.read()))
                for source, error in new.items():
                    if source not in self._kinds:
                        row = {"path": source, "reason": error.reason, "kind": error.kind}
                        stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._kinds.update({source: error.kind for source, error in new.items()})

    def check_limit(self, num_clips: int, max_bad_fraction: float) -> None:
        """Raise UserError when more than `max_bad_fraction` of `num_clips` are damaged."""
        if self.num_damaged > max_bad_fraction * num_clips:
            raise UserError(
                f"{self.num_damaged} of {num_clips} clips are damaged, more than --max_bad_fraction "
                f"{max_bad_fraction:g}: remove them, or allow a larger fraction{self.where}"
            )


def _read(text: str) -> dict[str, str]:
    rows = (json.loads(line) for line in text.splitlines() if line.strip())
    return {row["path"]: row["kind"] for row in rows}
