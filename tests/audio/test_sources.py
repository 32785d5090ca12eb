"""Every kind of source gives the same clips; what cannot be read is named."""

import io
import json
import tarfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from musicssl.audio.clips import iterate_clips
from musicssl.audio.crops import StreamSettings
from musicssl.audio.decode import load_audio
from musicssl.audio.loader import CropLoader, Workers
from musicssl.audio.sources import parse_sources
from musicssl.audio.walk import audio_files
from musicssl.errors import UserError

from .conftest import write_clips


def encoded(samples: np.ndarray, format: str = "FLAC") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16000, format=format)
    return buffer.getvalue()


def write_parquet(folder: Path, paths: list[str], split: str = "train", shards: int = 2) -> None:
    """As `datasets` writes it: an Audio column, here with an id and the clip's statistics."""
    folder.mkdir(parents=True, exist_ok=True)
    features = datasets.Features(
        clip_id=datasets.Value("string"),
        audio=datasets.Audio(),
        mean=datasets.Value("float32"),
        std=datasets.Value("float32"),
    )
    rows = [
        {"clip_id": Path(p).name, "audio": {"bytes": Path(p).read_bytes(), "path": None}, "mean": 0.1, "std": 0.2}
        for p in paths
    ]
    for shard in range(shards):
        table = pa.Table.from_pylist(rows[shard::shards], schema=features.arrow_schema)
        pq.write_table(table, folder / f"{split}-{shard:05}-of-{shards:05}.parquet", row_group_size=2)


def write_tars(folder: Path, paths: list[str], shards: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:04}.tar", "w") as tar:
            for path in paths[shard::shards]:
                tar.add(path, Path(path).name)
                label = tarfile.TarInfo(Path(path).stem + ".json")
                tar.addfile(label, io.BytesIO())


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """The same 9 clips as a folder, parquet with two splits, and tars."""
    root = tmp_path_factory.mktemp("collection")
    paths = write_clips(root / "folder" / "deep" / "down", 9, extension=".flac")
    write_parquet(root / "parquet" / "data", paths)
    write_parquet(root / "parquet" / "data", paths[:2], "validation", shards=1)
    write_tars(root / "tars", paths)
    return root, paths


SAME = ("folder", "parquet", "parquet:train", "parquet:default:train", "parquet/data/train-*", "tars", "tars/*.tar")


@pytest.mark.parametrize("source", SAME)
def test_every_source_holds_the_same_clips(collection, source):
    root, paths = collection
    sources = parse_sources([str(root / source)])
    clips = {Path(clip_id).name: waveform for clip_id, waveform in iterate_clips(sources)}
    assert set(clips) == {Path(path).name for path in paths}
    for path in paths:
        assert np.array_equal(clips[Path(path).name], load_audio(path))
    settings = StreamSettings(crop_seconds=0.5, min_seconds=0.5, epochs=2)
    batches = list(CropLoader(sources, settings, batch_size=6, workers=Workers(2)))
    seen = [name for batch in batches for name in batch["clip_id"]]
    assert len(seen) == 18 and all(seen.count(name) == 2 for name in seen)
    has_statistics = "parquet" in source
    assert all(batch["clip_std"].isnan().all() != has_statistics for batch in batches)


def test_splits_and_patterns(collection):
    root, _ = collection
    assert parse_sources([f"{root}/parquet:validation"])[0].num_clips == 2
    with pytest.raises(UserError, match=r"no split 'test'; available: train, validation"):
        parse_sources([f"{root}/parquet:test"])


def test_ranks_share_whole_clips(collection):
    root, paths = collection
    sources = parse_sources([str(root / "parquet")])
    shares = [[clip_id for clip_id, _ in iterate_clips(sources, rank=rank, world_size=4)] for rank in range(4)]
    assert sorted(sum(shares, [])) == sorted(Path(path).name for path in paths)
    assert all(waveform.shape == (16000,) for _, waveform in iterate_clips(sources))


def test_audiofolder_metadata_gives_statistics_and_names_missing_files(tmp_path):
    write_clips(tmp_path / "audio", 3)
    rows = ["file_name,mean,std", "audio/clip000.wav,0.5,0.25", "audio/clip001.wav,,", "audio/gone.wav,0,1"]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    sources = parse_sources([str(tmp_path)])
    settings = StreamSettings(crop_seconds=0.5, min_seconds=0.5, epochs=1, max_bad_fraction=0.3)
    (batch,) = CropLoader(sources, settings, batch_size=4, bad_files=tmp_path / "bad.jsonl")
    pairs = torch.stack([batch["clip_mean"], batch["clip_std"]], dim=1).tolist()
    statistics = dict(zip(batch["clip_id"], map(tuple, pairs), strict=True))
    assert set(statistics) == {f"audio/clip00{i}.wav" for i in range(3)}
    assert statistics["audio/clip000.wav"] == (0.5, 0.25) and np.isnan(statistics["audio/clip001.wav"][0])
    row = json.loads((tmp_path / "bad.jsonl").read_text())
    assert row["path"].endswith("audio/gone.wav") and row["reason"] == "no such file"


def test_audio_files_below_a_folder_are_visible_ones_in_order_each_once(tmp_path):
    for name in ("b/two.OGA", "a.flac", ".hidden/no.wav", ".no.wav", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert audio_files(tmp_path) == [tmp_path / "a.flac", tmp_path / "b" / "two.OGA"]
    assert audio_files(tmp_path / "missing") == []


def test_mixture(collection, tmp_path):
    root, _ = collection
    write_clips(tmp_path / "other", 4, first=50)
    settings = StreamSettings(crop_seconds=0.5, min_seconds=0.5, epochs=10)
    sources = parse_sources([f"{root}/tars=0.25", f"{tmp_path}/other=0.75"])
    seen = [name for batch in CropLoader(sources, settings, 5) for name in batch["clip_id"]]
    assert 0.7 < np.mean(["/" not in name for name in seen]) < 0.8
    with pytest.raises(UserError, match="give every source of a mixture a weight"):
        parse_sources([f"{root}/tars=0.25", str(tmp_path / "other")])
    with pytest.raises(UserError, match="must be a positive number"):
        parse_sources([f"{root}/tars=-1"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere/at/all", "no such file or folder"),
        ("./missing", "no such file or folder"),
        ("nobody/nothing", "no such file or folder, and not found on the Hub"),
        ("empty", r"no audio in this folder \(looked for wav, flac"),
        ("empty/notes.txt", "neither audio"),
        ("empty/broken.tar", "not an uncompressed tar"),
        ("empty/broken.parquet", "not a parquet file"),
        ("empty/*.wav", "no file matches"),
    ],
)
def test_unusable_sources_are_named(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    for name in ("empty/broken.tar", "empty/broken.parquet"):
        if source == name:
            (tmp_path / name).write_bytes(b"this is neither" * 100)
    with pytest.raises(UserError, match=message) as error:
        parse_sources([source])
    assert str(error.value).startswith(source) and "\n" not in str(error.value)


def test_a_mistyped_folder_is_not_looked_for_where_it_cannot_be(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    for name in ("music/nope", "./nope", "a/b/c"):
        with pytest.raises(UserError, match=f"^{name}: no such file or folder$"):
            parse_sources([name])
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="not found on the Hub"):
        parse_sources(["nope"])
    assert capsys.readouterr().err.startswith("nope: no such file or folder here; looking for it on the Hub\n")
