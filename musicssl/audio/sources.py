"""Open the sources of audio that the user names, as tables of clips.

Forms of a source:

    FOLDER                 audio files at any depth; metadata.csv, .jsonl or .parquet is used (`audiofolder`)
    FOLDER[:split]         parquet shards or WebDataset tars, as `musicssl prepare` and `datasets` write them
    FILE, PATTERN, URL     audio files, .parquet or .tar
    NAME[:config][:split]  a data set on the Hub
    SOURCE=0.7             any of these with its share of the mixture
"""

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import datasets
import pandas

from musicssl.audio.decode import AUDIO_EXTENSIONS
from musicssl.audio.tables import ClipTable, FileTable, ParquetTable, TarTable
from musicssl.audio.walk import is_audio, visible_files
from musicssl.errors import UserError, first_line
from musicssl.hub import looking_on_the_hub

_WEIGHTED = re.compile(r"(?P<name>.+)=(?P<weight>[0-9.eE+-]+)")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]*){0,2}")
_METADATA_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_FORMATS = "wav, flac, ogg, opus, mp3, aiff, au"


@dataclass(frozen=True)
class Source:
    """One source, with its share of the mixture (None: each clip once per epoch), and as the user wrote it."""

    name: str
    table: ClipTable
    weight: float | None = None
    given: str = ""

    @property
    def num_clips(self) -> int:
        return self.table.num_clips


def parse_sources(texts: Sequence[str]) -> list[Source]:
    """Open the sources that the user named.

    Raises:
        UserError: a source does not exist or holds no audio, or only some of several sources have a weight.
    """
    sources = [_parse_source(text) for text in texts]
    if not sources:
        raise UserError("no audio source was given: name a folder, parquet or tar files, or a data set on the Hub")
    weighted = [source.weight is not None for source in sources]
    if any(weighted) and not all(weighted):
        bare = next(source.name for source in sources if source.weight is None)
        raise UserError(f"{bare}: give every source of a mixture a weight (A=0.7 B=0.3), or none of them")
    return sources


def _parse_source(text: str) -> Source:
    name, weight = text, None
    match = _WEIGHTED.fullmatch(text)
    if match and not os.path.exists(text):
        name = match["name"]
        try:
            weight = float(match["weight"])
        except ValueError:
            weight = -1.0
        if not 0 < weight < float("inf"):
            raise UserError(f"{text}: the weight after '=' must be a positive number")
    return Source(name, _open_table(name), weight, text)


def _open_table(name: str) -> ClipTable:
    if os.path.isdir(name):
        return _open_folder(Path(name))
    if "://" in name or os.path.isfile(name):
        return _table_of_urls(name, [name])
    if glob.has_magic(name):
        paths = sorted(glob.glob(name, recursive=True))
        if not paths:
            raise UserError(f"{name}: no file matches this pattern")
        return _table_of_urls(name, paths)
    folder, _, split = name.partition(":")
    if split and os.path.isdir(folder):
        return _open_dataset(name, folder, split.split(":"))
    if not _HUB_ID.fullmatch(name):
        raise UserError(f"{name}: no such file or folder")
    dataset, *rest = name.split(":")
    with looking_on_the_hub(dataset, name):
        return _open_dataset(name, dataset, rest)


def _open_folder(folder: Path) -> ClipTable:
    """Audio files if there are any, else parquet shards, else tars."""
    files = list(visible_files(folder))
    audio = list(filter(is_audio, files))
    if audio:
        return _audio_folder(folder, audio, files)
    if any(path.suffix == ".parquet" for path in files):
        return _open_dataset(str(folder), str(folder), [])
    tars = sorted(str(path) for path in files if path.suffix == ".tar")
    if tars:
        return TarTable(tars)
    raise UserError(f"{folder}: no audio in this folder (looked for {_FORMATS}, .parquet and .tar at any depth)")


def _audio_folder(folder: Path, audio: list[Path], files: list[Path]) -> FileTable:
    """The audio in a folder and in its metadata files; a file that is listed but missing stays in the table."""
    rows: dict[str, dict] = {path.relative_to(folder).as_posix(): {} for path in audio}
    for metadata in (path for path in files if path.name in _METADATA_FILES):
        rows.update(_read_metadata(folder, metadata))
    clip_ids = sorted(rows)
    known = {
        "track_id": [rows[clip_id].get("track_id", clip_id) for clip_id in clip_ids],
        "mean": [rows[clip_id].get("mean", float("nan")) for clip_id in clip_ids],
        "std": [rows[clip_id].get("std", float("nan")) for clip_id in clip_ids],
    }
    return FileTable(clip_ids, [str(folder / clip_id) for clip_id in clip_ids], known)


def _read_metadata(folder: Path, metadata: Path) -> dict[str, dict]:
    """For each listed file, what the metadata say of its track, mean and standard deviation."""
    read_jsonl = partial(pandas.read_json, lines=True)
    readers = {".csv": pandas.read_csv, ".parquet": pandas.read_parquet, ".jsonl": read_jsonl}
    try:
        table = readers[metadata.suffix](metadata)
    except ValueError as error:
        raise UserError(f"{metadata}: cannot be read ({error})") from None
    if "file_name" not in table:
        raise UserError(f"{metadata}: no column file_name among {', '.join(map(str, table.columns))}; add it")
    known = pandas.DataFrame(index=table.index)
    if "track_id" in table:
        known["track_id"] = table["track_id"].astype(str)
    if "mean" in table and "std" in table:
        known[["mean", "std"]] = table[["mean", "std"]].apply(pandas.to_numeric, errors="coerce").astype(float)
    paths = (metadata.parent / str(file_name) for file_name in table["file_name"])
    names = (Path(os.path.relpath(path, folder)).as_posix() for path in paths)
    return dict(zip(names, known.to_dict("records"), strict=True))


def _open_dataset(text: str, dataset: str, config_and_split: list[str]) -> ClipTable:
    """Open a data set in a folder or on the Hub: `datasets` finds its files, which are then read in place."""
    if len(config_and_split) > 2:
        raise UserError(f"{text}: too many colons; write NAME[:config][:split]")
    config, split = (*config_and_split, "", "")[:2]
    if len(config_and_split) == 1:
        splits = _data_files(text, dataset, "", may_fail=True)
        if config in splits:
            config, split = "", config
        elif config and splits and os.path.isdir(dataset):
            raise UserError(f"{text}: no split {config!r}; available: {', '.join(splits)}")
    splits = _data_files(text, dataset, config)
    if not split:
        if "train" not in splits and len(splits) > 1:
            raise UserError(f"{text}: name a split as {dataset}:{next(iter(splits))}; available: {', '.join(splits)}")
        split = "train" if "train" in splits else next(iter(splits))
    if split not in splits:
        raise UserError(f"{text}: no split {split!r}; available: {', '.join(splits)}")
    return _table_of_urls(text, [str(url) for url in splits[split]])


def _data_files(text: str, dataset: str, config: str, may_fail: bool = False) -> dict[str, list]:
    try:
        builder = datasets.load_dataset_builder(dataset, config or None)
    except ValueError as error:
        if may_fail:  # several configurations and none named: the word must be one of them
            return {}
        raise UserError(f"{text}: {error}") from None
    except (OSError, datasets.exceptions.DatasetNotFoundError) as error:
        raise UserError(f"{text}: no such file or folder, and not found on the Hub ({first_line(error)})") from None
    if not builder.config.data_files:
        raise UserError(f"{text}: this data set is generated by a script; only data files can be streamed")
    return dict(builder.config.data_files)


def _table_of_urls(text: str, urls: Sequence[str]) -> ClipTable:
    """Parquet shards, tars or audio files, distinguished by their extension."""
    if shards := [url for url in urls if _extension(url) == ".parquet"]:
        return ParquetTable(shards)
    if tars := [url for url in urls if _extension(url) == ".tar"]:
        return TarTable(tars)
    if paths := [url for url in urls if _extension(url) in AUDIO_EXTENSIONS]:
        root = os.path.commonpath([str(PurePosixPath(path).parent) for path in paths])
        return FileTable([os.path.relpath(path, root) for path in paths], paths)
    raise UserError(f"{text}: neither audio ({_FORMATS}) nor .parquet nor .tar")


def _extension(url: str) -> str:
    return PurePosixPath(url.split("?")[0]).suffix.lower()
