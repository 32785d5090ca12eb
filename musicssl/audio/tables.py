"""Tables of clips: what a source holds, and how the bytes of a clip are read.

A table knows its number of clips and, where clips are only cheap to read together (the row groups of a parquet
file), the block that each clip belongs to. Audio is never decoded here.
"""

import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from musicssl.audio.decode import AUDIO_EXTENSIONS
from musicssl.errors import UserError

# A worker shuffles parquet rows in a buffer of at most this many bytes.
_BUFFER_BYTES = 256 << 20
_INDEX_THREADS = 8


@dataclass(frozen=True)
class Clip:
    """One clip: a stable `clip_id`, its audio (a path or encoded bytes), and its `name` in errors.

    `track_id` names the recording that it was cut from; it is the clip itself where the source does not say.
    `mean` and `std` are those of the whole clip as mono, NaN where the source does not know them.
    """

    clip_id: str
    audio: str | bytes
    name: str
    track_id: str
    mean: float = float("nan")
    std: float = float("nan")


class ClipTable(ABC):
    """The clips of one source."""

    num_clips: int
    block_of_clip: np.ndarray | None = None  # (num_clips,) int64, or None where every clip is read on its own
    buffer_limit = 1 << 62  # the number of clips that a shuffle buffer may hold in memory

    @abstractmethod
    def fetch(self, indices: np.ndarray) -> Iterator[Clip]:
        """The clips with these indices, in this order; each is read when it is asked for."""

    @abstractmethod
    def track_ids(self) -> list[str]:
        """The track of every clip."""


class FileTable(ClipTable):
    """Audio files, local or remote; the paths are kept in Arrow, which forked workers share."""

    def __init__(self, clip_ids: Sequence[str], paths: Sequence[str], known: Mapping[str, Sequence] | None = None):
        """`known` may hold columns track_id, mean and std."""
        unknown = [float("nan")] * len(paths)
        columns = {"track_id": clip_ids, "mean": unknown, "std": unknown, **(known or {})}
        self._rows = datasets.Dataset.from_dict({"clip_id": clip_ids, "path": paths, **columns})
        self.num_clips = len(paths)

    def track_ids(self) -> list[str]:
        return list(self._rows["track_id"])

    def fetch(self, indices: np.ndarray) -> Iterator[Clip]:
        for index in indices:
            row = self._rows[int(index)]
            path = row["path"]
            yield Clip(row["clip_id"], _remote_bytes(path), path, row["track_id"], row["mean"], row["std"])


class TarTable(ClipTable):
    """The audio members of WebDataset tars, found by one pass over the tar headers, then read by offset."""

    def __init__(self, urls: Sequence[str]):
        with ThreadPoolExecutor(_INDEX_THREADS) as pool:
            indexes = list(pool.map(_index_tar, urls))
        members = [(shard, *member) for shard, index in enumerate(indexes) for member in index]
        if not members:
            raise UserError(f"{urls[0]}: no audio in the tar files")
        shards, names, offsets, sizes = zip(*members, strict=True)
        self._urls = list(urls)
        self._names = pa.array(names)
        self._shards, self._offsets, self._sizes = (np.array(column) for column in (shards, offsets, sizes))
        self.num_clips = len(members)

    def track_ids(self) -> list[str]:
        return [self._clip_id(index) for index in range(self.num_clips)]

    def _clip_id(self, index: int) -> str:
        return f"{PurePosixPath(self._urls[self._shards[index]]).stem}/{self._names[int(index)].as_py()}"

    def fetch(self, indices: np.ndarray) -> Iterator[Clip]:
        for index in indices:
            url = self._urls[self._shards[index]]
            with _open(url) as stream:
                stream.seek(int(self._offsets[index]))
                audio = stream.read(int(self._sizes[index]))
            clip_id = self._clip_id(index)
            yield Clip(clip_id, audio, f"{url}/{self._names[int(index)].as_py()}", track_id=clip_id)


class ParquetTable(ClipTable):
    """Parquet rows with an audio column of {bytes, path}; whole row groups are read, each once per pass."""

    block_of_clip: np.ndarray

    def __init__(self, urls: Sequence[str]):
        self._urls = list(urls)
        with ThreadPoolExecutor(_INDEX_THREADS) as pool:
            self._metadata = list(pool.map(_parquet_metadata, urls))
        self._audio_column = _audio_column(urls[0], self._metadata[0].schema.to_arrow_schema())
        self._groups: list[tuple[int, int, int]] = []  # file, row group in the file, first row of the group in it
        rows: list[int] = []
        num_bytes = 0
        for file, metadata in enumerate(self._metadata):
            first_row = 0
            for group in range(metadata.num_row_groups):
                self._groups.append((file, group, first_row))
                rows.append(metadata.row_group(group).num_rows)
                num_bytes += metadata.row_group(group).total_byte_size
                first_row += rows[-1]
        self.num_clips = sum(rows)
        if not self.num_clips:
            raise UserError(f"{urls[0]}: the parquet files have no rows")
        self.block_of_clip = np.repeat(np.arange(len(rows)), rows)
        self._first_clip = np.cumsum(rows) - rows
        self.buffer_limit = max(1, _BUFFER_BYTES * self.num_clips // max(1, num_bytes))

    def fetch(self, indices: np.ndarray) -> Iterator[Clip]:
        blocks = self.block_of_clip[indices]
        wait = _steps_to_next(blocks)
        loaded: dict[int, pa.Table] = {}
        for position, (index, block) in enumerate(zip(indices.tolist(), blocks.tolist(), strict=True)):
            if block not in loaded:
                loaded[block] = self._read_group(block)
            clip = self._clip(loaded[block], block, index - int(self._first_clip[block]))
            if wait[position] > 2 * self.buffer_limit:  # not again, or only in a later pass
                del loaded[block]
            yield clip

    def track_ids(self) -> list[str]:
        ids: list[str] = []
        for block, (file, _, first_row) in enumerate(self._groups):
            table = self._read_group(block, {"clip_id", "track_id"})
            names = [self._default_id(file, first_row + row) for row in range(table.num_rows)]
            for column in ("clip_id", "track_id"):
                if column in table.column_names:
                    known = table[column].to_pylist()
                    names = [name if value is None else str(value) for name, value in zip(names, known, strict=True)]
            ids += names
        return ids

    def _default_id(self, file: int, row: int) -> str:
        return f"{PurePosixPath(self._urls[file]).stem}#{row}"

    def _read_group(self, block: int, wanted: set[str] | None = None) -> pa.Table:
        file, group, _ = self._groups[block]
        metadata = self._metadata[file]
        wanted = wanted or {self._audio_column, "clip_id", "track_id", "mean", "std"}
        columns = [name for name in metadata.schema.to_arrow_schema().names if name in wanted]
        with _open(self._urls[file]) as stream:
            return pq.ParquetFile(stream, metadata=metadata).read_row_group(group, columns, use_threads=False)

    def _clip(self, table: pa.Table, block: int, row: int) -> Clip:
        file, _, first_row = self._groups[block]
        url = self._urls[file]
        name = f"{url}#{first_row + row}"
        values = {column: table[column][row].as_py() for column in table.column_names}
        audio = values.pop(self._audio_column)
        if isinstance(audio, dict):
            audio = audio["bytes"] if audio.get("bytes") is not None else audio.get("path")
        if isinstance(audio, str):
            audio = _remote_bytes(audio if "://" in audio else str(Path(url).parent / audio))
        mean, std = (float("nan") if values.get(key) is None else float(values[key]) for key in ("mean", "std"))
        clip_id = str(values.get("clip_id") or self._default_id(file, first_row + row))
        return Clip(clip_id, audio or b"", name, str(values.get("track_id") or clip_id), mean, std)


def _steps_to_next(values: np.ndarray) -> np.ndarray:
    """For each position, the steps to the next position with the same value; a huge number where none follows."""
    order = np.argsort(values, kind="stable")
    steps = np.full(len(values), np.iinfo(np.int64).max)
    again = values[order[1:]] == values[order[:-1]]
    steps[order[:-1][again]] = (order[1:] - order[:-1])[again]
    return steps


def _open(url: str) -> BinaryIO:
    """Open a local or remote file; only the ranges that are read are requested, nothing is read ahead."""
    filesystem, path = fsspec.url_to_fs(url)
    return filesystem.open(path, "rb", cache_type="none")


def _remote_bytes(path: str) -> str | bytes:
    """A local path as it is; the content of a remote file."""
    if "://" not in path:
        return path
    with _open(path) as stream:
        return stream.read()


def _index_tar(url: str) -> list[tuple[str, int, int]]:
    """(name, offset, size) of the audio members of a tar, or of what is left of a tar that was cut off."""
    members: list[tuple[str, int, int]] = []
    with _open(url) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                for member in tar:
                    if member.isfile() and PurePosixPath(member.name).suffix.lower() in AUDIO_EXTENSIONS:
                        members.append((member.name, member.offset_data, member.size))
        except tarfile.ReadError as error:
            if not members:
                raise UserError(f"{url}: not an uncompressed tar file ({error})") from None
    return members


def _parquet_metadata(url: str) -> pq.FileMetaData:
    try:
        with _open(url) as stream:
            return pq.ParquetFile(stream).metadata
    except pa.ArrowInvalid as error:
        raise UserError(f"{url}: not a parquet file ({error})") from None


def _audio_column(url: str, schema: pa.Schema) -> str:
    features = datasets.Features.from_arrow_schema(schema)
    typed = [name for name, feature in features.items() if isinstance(feature, datasets.Audio)]
    structs = [f.name for f in schema if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    binary = [f.name for f in schema if pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type)]
    for names in (typed, structs, binary):
        if len(names) == 1 or "audio" in names:
            return "audio" if "audio" in names else names[0]
    raise UserError(f"{url}: no audio column among {', '.join(schema.names)}; add one of {{bytes, path}}")
