"""All 13 tasks read their archives as distributed: right labels, right splits, flaws found, partial sets refused."""

import csv
import dataclasses
import hashlib
import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from musicssl.errors import UserError, run_as_command
from musicssl.probing.tasks import TASKS, get_task, vocalset
from musicssl.probing.tasks.base import SPLITS, DataSet, Example, PublishedTask, TaskData, split_digest
from musicssl.probing.tasks.emomusic import split_of as emomusic_split
from musicssl.probing.tasks.giantsteps_key import artists_in_validation
from musicssl.probing.tasks.magnatagatune import split_of as magnatagatune_split
from study.archives import ARCHIVES, emomusic, giantsteps, gtzan, magnatagatune, mtg_jamendo
from study.archives.__main__ import main as archives

PUBLISHED_LISTS = Path(__file__).parents[3] / "shared" / "splits"


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """The synthetic archives with clips cut short: what is tested here is what surrounds the audio."""
    root = tmp_path_factory.mktemp("archives")
    with pytest.MonkeyPatch.context() as patch:
        for module in (emomusic, giantsteps, gtzan, magnatagatune, mtg_jamendo):
            patch.setattr(module, "SECONDS", 1.0)
        for name, write in ARCHIVES.items():
            write(root / name, seed=0)
    return root


def load(name, data_root):
    task = get_task(name)
    return task.load(task.root(data_root), allow_partial=True)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_reads_its_archive(name, data_root):
    task, data = get_task(name), load(name, data_root)
    assert all(count > 0 for count in data.counts().values())
    assert len({example.clip_id for example in data.examples}) == len(data.examples)
    for split in SPLITS:
        for other in set(SPLITS) - {split}:
            assert not data.track_ids(split) & data.track_ids(other)
    for example in data.examples:
        assert sf.info(example.audio).frames > 0
        if task.kind in ("multiclass", "key"):
            assert 0 <= example.label < len(task.labels)
        elif task.kind == "multilabel":
            assert list(example.label) == sorted(set(example.label))
            assert all(0 <= index < len(task.labels) for index in example.label)
        elif task.kind == "regression":
            assert len(example.label) == len(task.labels) and np.isfinite(example.label).all()
        else:
            assert list(example.label) == sorted(example.label)


@pytest.mark.parametrize("name", TASKS)
def test_a_part_of_a_data_set_is_refused_and_flagged_when_allowed(name, data_root):
    task = get_task(name)
    with pytest.raises(UserError, match=rf"task {name}: .*--allow_partial"):
        task.load(task.root(data_root))
    data = load(name, data_root)
    assert not data.comparable and data.notes[-1].startswith("not the published data set: ")


@pytest.mark.parametrize("name", TASKS)
def test_an_empty_folder_is_an_error_that_names_what_is_missing(name, tmp_path):
    with pytest.raises(UserError, match=rf"task {name}: .*missing; get it from"):
        get_task(name).load(tmp_path, allow_partial=True)


@pytest.mark.parametrize("name", TASKS)
def test_the_facts_of_a_task_are_whole(name):
    task = get_task(name)
    assert task.primary_metric in task.metrics
    assert importlib.import_module(f"musicssl.probing.tasks.{name}").TASK is task
    assert len(set(task.labels)) == len(task.labels)
    assert task.published_counts is None or tuple(task.published_counts) == SPLITS
    assert (task.published_counts is None) == (task.minimum_tracks > 0)
    for text in (task.title, task.comparable_to, *dataclasses.astuple(task.data_set)):
        assert text.strip()


def test_the_tasks_are_the_papers_thirteen():
    sizes = {name: len(task.labels) for name, task in TASKS.items()}
    assert sizes == {
        "magnatagatune": 50, "giantsteps_key": 24, "gtzan_genre": 10, "gtzan_rhythm": 0, "emomusic": 2,
        "nsynth_instrument": 11, "nsynth_pitch": 128, "vocalset_singer": 20, "vocalset_technique": 10,
        "mtg_instrument": 40, "mtg_moodtheme": 56, "mtg_genre": 87, "mtg_top50": 50,
    }  # fmt: skip
    with pytest.raises(UserError, match="mtg_top50"):
        get_task("gtzan")


# --- the published splits ------------------------------------------------------------------------------------------


def published(file_name, column, excluded=()):
    path = PUBLISHED_LISTS / file_name
    if not path.is_file():
        pytest.skip(f"no published list at {path}")
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row[column] not in excluded]
    splits = {"train": "train", "valid": "validation", "test": "test"}
    return [Example(row[column], "", 0, splits[row["split"]], track_id=row[column]) for row in rows], rows


@pytest.mark.parametrize(
    ("name", "file_name", "column", "excluded"),
    [
        ("magnatagatune", "magnatagatune.csv", "clip_id", ()),
        ("giantsteps_key", "giantsteps_key.csv", "song_id", ()),
        ("gtzan_genre", "gtzan_fault_filtered.csv", "track", ("jazz.00054",)),
        ("gtzan_rhythm", "gtzan_fault_filtered.csv", "track", ("jazz.00054",)),
        ("emomusic", "emomusic.csv", "song_id", ()),
    ],
)
def test_counts_and_hash_are_those_of_the_published_list(name, file_name, column, excluded):
    task = get_task(name)
    examples, _ = published(file_name, column, excluded)
    assert task.problems(TaskData(examples)) == []
    assert "tracks instead of" in task.problems(TaskData(examples[1:]))[0]
    swapped = [dataclasses.replace(examples[0], split="test" if examples[0].split != "test" else "train")]
    balance = next(example for example in examples[1:] if example.split == swapped[0].split)
    swapped.append(dataclasses.replace(balance, split=examples[0].split))
    others = [example for example in examples if example not in (examples[0], balance)]
    assert task.problems(TaskData(others + swapped)) == ["the split differs from the published one"]


def test_the_labels_of_the_published_lists_are_ours():
    _, rows = published("giantsteps_key.csv", "song_id")
    assert {row["key"] for row in rows} == set(get_task("giantsteps_key").labels)
    _, rows = published("gtzan_fault_filtered.csv", "track")
    assert {row["genre"] for row in rows} == set(get_task("gtzan_genre").labels)
    assert all(row["track"].split(".")[0] == row["genre"] for row in rows)


def test_magnatagatune_is_split_twelve_one_three_by_folder():
    splits = [magnatagatune_split(f"{digit:x}/some.mp3") for digit in range(16)]
    assert splits == ["train"] * 12 + ["validation"] + ["test"] * 3


def test_giantsteps_artists_are_hashed_and_pull_their_collaborators():
    def part(artist):
        return int.from_bytes(hashlib.sha1(artist.lower().encode()).digest(), "big") % 116

    names = [f"DJ {index}" for index in range(300)]
    held_out = [name for name in names if part(name) >= 100]
    kept = [name for name in names if part(name) < 100]
    assert artists_in_validation(names) == set(held_out)
    # A chain in the order of the table is pulled whole; against it, one link for each of the two passes.
    chain = [f"{held_out[0]}, {kept[0]}", f"{kept[0]}, {kept[1]}", f"{kept[1]},{kept[2]}", f"{kept[2]}, {kept[3]}"]
    assert artists_in_validation(chain) == {held_out[0], *kept[:4]}
    assert artists_in_validation(chain[::-1]) == {held_out[0], *kept[:2]}


def test_emomusic_artists_are_normalized_before_hashing():
    assert emomusic_split("anyone", "evaluation") == "test"
    names = [f"artist {chr(97 + index % 26)}{chr(97 + index // 26)}" for index in range(400)]
    splits = [emomusic_split(name, "development") for name in names]
    assert 0.7 < splits.count("train") / len(splits) < 0.9
    for name, split in zip(names, splits, strict=True):
        assert emomusic_split(f"  {name.upper().replace(' ', '   ')} 42é!", "development") == split


def test_a_vocalset_recordings_split_depends_on_its_name_only(data_root, tmp_path):
    fractions = np.array([vocalset.hash_fraction(f"female1/scales/belt/f1_{index}") for index in range(4000)])
    assert abs(fractions.mean() - 0.5) < 0.02 and abs((fractions < 0.2).mean() - 0.2) < 0.03
    # Must not change: another value here is another split.
    assert round(vocalset.hash_fraction("female1/arpeggios/belt/f1_arpeggios_belt_c_a"), 6) == 0.622343
    whole = {example.clip_id: example.split for example in load("vocalset_singer", data_root).examples}
    shutil.copytree(data_root / "vocalset", tmp_path / "vocalset")
    shutil.rmtree(tmp_path / "vocalset" / "FULL" / "male4")
    part = {example.clip_id: example.split for example in load("vocalset_singer", tmp_path).examples}
    assert part.items() < whole.items()
    testers = {example.track_id.split("/")[0] for example in load("vocalset_technique", data_root).examples
               if example.split == "test"}  # fmt: skip
    assert testers == {"female2", "female8", "male3", "male5", "male10"}


# --- the traps -----------------------------------------------------------------------------------------------------


def test_tables_with_crlf_give_no_tag_twice(data_root):
    table = data_root / "mtg_jamendo/data/splits/split-0/autotagging_instrument-train.tsv"
    assert b"\r\n" in table.read_bytes()
    naive = {tag for line in table.read_bytes().decode().split("\n")[1:-1] for tag in line.split("\t")[5:]}
    task, data = get_task("mtg_instrument"), load("mtg_instrument", data_root)
    used = {task.labels[index] for example in data.examples for index in example.label}
    assert len(naive) > len(used) > 5 and "instrument---drums" in used
    assert any(len(example.label) > 1 for example in data.examples)


def test_missing_clips_are_recorded_and_known_corrupt_ones_left_out(data_root):
    assert load("mtg_top50", data_root).missing == ["audio-low/05/5.low.mp3"]
    tags = load("magnatagatune", data_root)
    assert [path.split("/")[:2] for path in tags.missing] == [["mp3", "7"]]
    assert not {"35644", "55753", "57881"} & {example.clip_id for example in tags.examples}
    genres = load("gtzan_genre", data_root)
    assert "jazz.00054" not in {example.track_id for example in genres.examples} and genres.missing == []
    assert [Path(path).name for path in load("giantsteps_key", data_root).missing] == ["100111.LOFI.mp3"]


def test_giantsteps_leaves_out_doubt_and_reads_sharps_and_blanks(data_root):
    annotations = data_root / "giantsteps/giantsteps-mtg-key-dataset/annotations/annotations.txt"
    assert "major \t2" in annotations.read_text() and "#" in annotations.read_text()
    task, data = get_task("giantsteps_key"), load("giantsteps_key", data_root)
    ids = {example.track_id for example in data.examples}
    assert not ids & {"900001", "900002"}
    rows = [line.split("\t") for line in annotations.read_text().splitlines()[1:]]
    written = {row[0]: row[1].strip() for row in rows}
    flats = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}
    for example in data.examples:
        if example.split != "test":
            tonic, mode = written[example.track_id].split()
            assert task.labels[example.label] == f"{flats.get(tonic, tonic)} {mode}"


def test_emomusic_targets_are_scaled_by_the_development_set(data_root):
    data = load("emomusic", data_root)
    development = np.array([example.label for example in data.examples if example.split != "test"])
    np.testing.assert_allclose(development.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(development.std(axis=0), 1.0, atol=1e-9)


def test_beats_are_read_with_and_without_bar_positions(data_root):
    files = data_root / "gtzan" / "beats"
    assert "\t" not in (files / "gtzan_jazz_00010.beats").read_text()
    assert "\t" in (files / "gtzan_rock_00010.beats").read_text()
    labels = {example.track_id: example.label for example in load("gtzan_rhythm", data_root).examples}
    for track in ("jazz.00010", "rock.00010"):
        lines = (files / f"gtzan_{track.replace('.', '_')}.beats").read_text().split("\n")
        assert labels[track] == tuple(float(line.split("\t")[0]) for line in lines if line)


def test_vocalset_skips_leading_silence_and_short_takes(data_root):
    data = load("vocalset_singer", data_root)
    task = get_task("vocalset_singer")
    assert any("shorter than" in note for note in data.notes)
    assert not any("._" in example.audio for example in data.examples)
    starts = {round(example.start_seconds, 2) for example in data.examples}
    assert len(starts) > 1 and max(starts) >= 0.38
    for example in data.examples:
        assert example.start_seconds + example.seconds <= sf.info(example.audio).duration
    # The folder names the singer, whatever the file is called.
    nameless = [example for example in data.examples if Path(example.audio).name.startswith("arpeggios_")]
    assert {task.labels[example.label] for example in nameless} == {"f4"}


@pytest.mark.parametrize(("extra", "chunks"), [(-1, 0), (0, 0), (1, 1)])
def test_a_take_must_be_longer_than_its_chunks(tmp_path, extra, chunks):
    """The reference's loop is strict: a take of exactly one chunk vanishes."""
    sf.write(tmp_path / "take.wav", np.full(132_000 + extra, 0.5), 44_100)
    assert vocalset.chunk_starts(tmp_path / "take.wav") == [0.0] * chunks


def test_a_damaged_take_is_recorded(data_root, tmp_path):
    shutil.copytree(data_root / "vocalset", tmp_path / "vocalset")
    victim = sorted((tmp_path / "vocalset/FULL/male7/arpeggios").glob("*/*.wav"))[0]
    victim.write_bytes(b"RIFF but no sound")
    assert load("vocalset_singer", tmp_path).missing == [str(victim.relative_to(tmp_path / "vocalset"))]


# --- what users get wrong ------------------------------------------------------------------------------------------


def test_wrong_tables_are_named(data_root, tmp_path):
    folder = tmp_path / "mtg_jamendo"
    shutil.copytree(data_root / "mtg_jamendo/data", folder / "data")
    table = folder / "data/splits/split-0/autotagging_genre-test.tsv"
    table.write_bytes(table.read_bytes().replace(b"genre---", b"genre---new", 1))
    with pytest.raises(UserError, match="unknown tag 'genre---new.*split-0"):
        load("mtg_genre", tmp_path)
    table.write_bytes(table.read_bytes().replace(b"new", b"", 1).replace(b"\t1.0\t", b"\tlong\t", 1))
    with pytest.raises(UserError, match="autotagging_genre-test.tsv: DURATION 'long' is not a number"):
        load("mtg_genre", tmp_path)
    table.write_bytes(table.read_bytes() + b"track_1\tartist_1\r\n")
    with pytest.raises(UserError, match="autotagging_genre-test.tsv, line [0-9]+: 2 cells"):
        load("mtg_genre", tmp_path)
    table.write_bytes(table.read_bytes().replace(b"ARTIST_ID", b"artist", 1))
    with pytest.raises(UserError, match="autotagging_genre-test.tsv: no column ARTIST_ID"):
        load("mtg_genre", tmp_path)


def test_an_artist_in_two_splits_is_a_problem(data_root, tmp_path):
    shutil.copytree(data_root / "mtg_jamendo", tmp_path / "mtg_jamendo")
    splits = tmp_path / "mtg_jamendo/data/splits/split-0"
    lines = (splits / "autotagging_genre-train.tsv").read_bytes().split(b"\r\n")
    artist = lines[1].split(b"\t")[1]
    table = splits / "autotagging_genre-test.tsv"
    rows = table.read_bytes().split(b"\r\n")
    rows[1] = rows[1].replace(rows[1].split(b"\t")[1], artist)
    table.write_bytes(b"\r\n".join(rows))
    assert any("artists are in test and in training" in each for each in load("mtg_genre", tmp_path).problems)


def test_audio_that_is_all_missing_is_an_error_even_when_a_part_is_allowed(data_root, tmp_path):
    shutil.copytree(data_root / "mtg_jamendo/data", tmp_path / "mtg_jamendo/data")
    with pytest.raises(UserError, match="nothing for train, validation, test .*clips missing, first"):
        load("mtg_genre", tmp_path)


def test_a_whole_set_with_a_clip_gone_is_refused(tmp_path):
    examples = [Example(split, str(tmp_path / f"{split}.wav"), 0, split, track_id=split) for split in SPLITS]
    task = PublishedTask(
        name="small", title="small", kind="multiclass", labels=("a",), metrics=("accuracy",),
        epochs=1, patience=1, plateau_patience=1, split_hash=split_digest(examples),
        published_counts=dict.fromkeys(SPLITS, 1), comparable_to="others",
        data_set=DataSet(folder="small", license="", citation="", source="somewhere", layout=""),
        read=lambda root: TaskData(list(examples)),
    )  # fmt: skip
    assert task.load(tmp_path).comparable
    with_gap = dataclasses.replace(task, read=lambda root: TaskData(list(examples), missing=["x.wav"]))
    with pytest.raises(UserError, match="1 clips missing, first x.wav"):
        with_gap.load(tmp_path)
    assert not with_gap.load(tmp_path, allow_partial=True).comparable
    assert task.root(tmp_path) == tmp_path / "small"


@pytest.mark.parametrize("name", ("vocalset_singer", "nsynth_pitch", "gtzan_genre", "emomusic"))
def test_larger_archives_hold_more_of_the_same(name, data_root, tmp_path, monkeypatch):
    for module in (emomusic, gtzan):
        monkeypatch.setattr(module, "SECONDS", 1.0)
    archive = get_task(name).data_set.folder
    ARCHIVES[archive](tmp_path / archive, seed=0, size=2)
    small, large = load(name, data_root), load(name, tmp_path)
    assert len(large.examples) >= 2 * len(small.examples) - 2  # a flaw that stands once may hide a clip
    assert {example.clip_id for example in small.examples} <= {example.clip_id for example in large.examples}
    assert all(count > 0 for count in large.counts().values())


def test_the_command_writes_archives_by_task(tmp_path, monkeypatch, capsys):
    def write(folder, *flags):
        return run_as_command(archives, ["--output_dir", str(tmp_path / folder), *flags])

    monkeypatch.setattr(mtg_jamendo, "SECONDS", 0.5)
    for folder in ("a", "b"):
        assert write(folder, "--tasks", "mtg_genre,mtg_top50") == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["demo.json", "mtg_jamendo"]
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 80
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)
    assert write("c", "--tasks", "mtg") == 2
    assert "--tasks mtg" in capsys.readouterr().err
    # Another size is another set: the folder is not mixed.
    assert write("a", "--tasks", "mtg_genre", "--size", "2") == 2
    assert f"{tmp_path / 'a' / 'mtg_jamendo'} already exists with other settings" in capsys.readouterr().err
    for flag, value in (("--size", "0"), ("--seed", "-1")):
        assert write("c", "--tasks", "mtg_genre", flag, value) == 2
        assert f"{flag} {value}" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
