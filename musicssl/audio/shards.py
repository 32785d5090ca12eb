"""Parquet shards of clips, written so that an interrupted job can be resumed.

A shard is written under another name and renamed when it is full; then `prepare.json` records which clips of the
source are done. What is not recorded there is done again.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from musicssl.errors import UserError
from musicssl.files import partial_path, read_json, write_json

_ROW_GROUP_BYTES = 16 << 20


@dataclass
class Shard:
    """A finished shard: it and the shards before it hold the clips of its split up to `next_clip` (excluded)."""

    file: str
    split: str
    clips: int
    seconds: float
    next_clip: int


@dataclass
class Progress:
    """The content of `prepare.json`: the settings of the job, the finished shards, and whether the job is done."""

    asked: dict
    shards: list[Shard] = field(default_factory=list)
    is_done: bool = False

    @classmethod
    def load(cls, directory: Path, asked: dict) -> "Progress":
        """Resume the job in `directory`, or begin one.

        Raises:
            UserError: the job there has other settings, or the directory holds something else.
        """
        path = directory / "prepare.json"
        if not path.exists():
            if directory.exists() and any(directory.iterdir()):
                raise UserError(
                    f"--output_dir {directory}: is not empty and holds no interrupted job; choose another folder"
                )
            return cls(asked)
        saved = read_json(path)
        for name, value in asked.items():
            if saved["asked"].get(name) != value:
                raise UserError(
                    f"--output_dir {directory}: was begun with {name} {saved['asked'].get(name)}, not {value}; "
                    "choose another folder, or ask for the same"
                )
        return cls(asked, [Shard(**shard) for shard in saved["shards"]], saved["is_done"])

    def save(self, directory: Path) -> None:
        """Write `prepare.json`."""
        write_json(directory / "prepare.json", asdict(self))

    def of(self, split: str) -> list[Shard]:
        return [shard for shard in self.shards if shard.split == split]


def clip_features(sampling_rate: int) -> datasets.Features:
    """The columns of a prepared data set."""
    return datasets.Features(
        audio=datasets.Audio(sampling_rate=sampling_rate),
        clip_id=datasets.Value("string"),
        track_id=datasets.Value("string"),
        start_seconds=datasets.Value("float64"),
        duration_seconds=datasets.Value("float64"),
        mean=datasets.Value("float32"),
        std=datasets.Value("float32"),
    )


class ShardWriter:
    """Fills the shards of one split up to `shard_bytes` each, in row groups small enough for readers to shuffle."""

    def __init__(self, directory: Path, split: str, progress: Progress, features: datasets.Features, shard_bytes: int):
        self._directory, self._split, self._progress = directory, split, progress
        self._schema = features.arrow_schema
        self._shard_bytes = shard_bytes
        self._writer: pq.ParquetWriter | None = None
        self._next_clip = 0
        (directory / "data").mkdir(parents=True, exist_ok=True)
        # What an interrupted job left of its last shard; version 0.1.0 used the second name.
        for pattern in (f".{split}-*.partial", f"{split}-*.tmp"):
            for leftover in (directory / "data").glob(pattern):
                leftover.unlink()
        self._begin()

    def _begin(self) -> None:
        self._file = f"data/{self._split}-{len(self._progress.of(self._split)):05}.parquet"
        self._rows: list[dict] = []
        self._row_bytes = self._written_bytes = self._clips = 0
        self._seconds = 0.0

    def add(self, rows: Sequence[dict], next_clip: int) -> None:
        """Add all rows of one clip of the source; the split continues with `next_clip`."""
        self._next_clip = next_clip
        for row in rows:
            self._rows.append(row)
            self._row_bytes += len(row["audio"]["bytes"])
            self._clips += 1
            self._seconds += row["duration_seconds"]
            if self._row_bytes >= _ROW_GROUP_BYTES:
                self._write_rows()
        if self._written_bytes + self._row_bytes >= self._shard_bytes:
            self.finish()

    def _write_rows(self) -> None:
        if self._writer is None:
            # Audio is compressed already: compressing the column again only costs time.
            partial = partial_path(self._directory / self._file)
            self._writer = pq.ParquetWriter(partial, self._schema, compression="none", write_page_index=True)
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._written_bytes += self._row_bytes
        self._rows, self._row_bytes = [], 0

    def finish(self) -> None:
        """Close the shard that is being filled, if it holds anything, and record it."""
        if self._rows:
            self._write_rows()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        os.replace(partial_path(self._directory / self._file), self._directory / self._file)
        self._progress.shards.append(Shard(self._file, self._split, self._clips, self._seconds, self._next_clip))
        self._progress.save(self._directory)
        self._begin()
