"""Labelled folders, parquet files and every label type become tasks; labels that cannot be read are named."""

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from musicssl.errors import UserError
from musicssl.keys import parse_key
from musicssl.probing.tasks import custom
from musicssl.probing.tasks.custom import custom_task, custom_tasks


def folder_with(tmp_path, rows, header="file_name,split,label"):
    (tmp_path / "metadata.csv").write_text("\n".join([header, *rows]) + "\n")
    return str(tmp_path)


THREE = ["a.wav,train,x", "b.wav,validation,x", "c.wav,test,y"]


def test_every_type_of_label(labelled_notes):
    source = str(labelled_notes)

    def first(data, number=0):
        return [example for example in data.examples if example.split == "train"][number].label

    register, data = custom_task(source, "register")
    assert register.labels == ("high", "low", "mid")
    assert data.counts() == {"train": 18, "validation": 9, "test": 9}
    assert register.labels[first(data)] == "low"
    tags, data = custom_task(source, "tags", "multilabel")
    assert [tags.labels[i] for i in first(data, 1)] == ["long", "mid"]
    assert first(custom_task(source, "height", "regression")[1]) == (4.0,)
    pair, data = custom_task(source, "height+height", "regression")
    assert pair.labels == ("height", "height") and first(data) == (4.0, 4.0)
    assert first(custom_task(source, "key", "key")[1], 1) == 14
    assert first(custom_task(source, "beats", "beat")[1]) == (0.1, 0.3)


def test_a_collection_is_read_once_for_all_its_labels(labelled_notes, monkeypatch):
    read, reads = custom.read_rows, []
    monkeypatch.setattr(custom, "read_rows", lambda *arguments: reads.append(arguments) or read(*arguments))
    labels, kinds = ("register", "tags", "beats"), ("multiclass", "multilabel", "beat")
    tasks = custom_tasks(labelled_notes, labels, kinds)
    assert len(reads) == 1 and [task.kind for task, _ in tasks] == list(kinds)
    alone = [custom_task(labelled_notes, *each) for each in zip(labels, kinds, strict=True)]
    assert tasks == alone


@pytest.mark.parametrize(
    "text,key", [("C major", 0), ("F# minor", 18), ("Gbm", 18), ("Bb", 10), ("A:maj", 9), ("Cb minor ", 23)]
)
def test_keys_are_read_as_people_write_them(text, key):
    assert parse_key(text) == key


def test_a_label_missing_from_train_and_an_empty_label_are_on_record(tmp_path):
    _, data = custom_task(folder_with(tmp_path, [*THREE, "d.wav,train,", "e.wav,train,z"]), "label")
    assert len(data.examples) == 4
    assert any("1 clips without a label" in note for note in data.notes)
    assert any("'y' is missing from train" in note for note in data.notes)
    assert any("2 of 3 labels have no test clip: x, z" in note for note in data.notes)


def test_numbers_are_classes_in_numeric_order(tmp_path):
    rows = ["a.wav,train,10", "b.wav,validation,9", "c.wav,test,100"]
    assert custom_task(folder_with(tmp_path, rows), "label")[0].labels == ("9", "10", "100")


def test_parquet_with_bytes_and_class_folders(tmp_path):
    for split in ("train", "validation", "test"):
        table = pa.table({"audio": [{"bytes": b"RIFF", "path": None}], "mood": [["calm", "dark"]]})
        parquet.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet")
    task, data = custom_task(str(tmp_path), "mood", "multilabel")
    assert task.labels == ("calm", "dark")
    assert Counter(example.audio for example in data.examples) == {b"RIFF": 3}
    folders = tmp_path / "folders"
    for split in ("train", "val", "test"):
        (folders / split / "piano").mkdir(parents=True)
        (folders / split / "piano" / "a.wav").touch()
    (folders / "train" / "piano" / "b.au").touch()
    (folders / "train" / "piano" / "notes.txt").touch()
    assert custom_task(str(folders), "label")[1].counts() == {"train": 2, "validation": 1, "test": 1}


def test_metadata_may_be_json_lines(tmp_path):
    rows = [{"file_name": f"{split}.wav", "split": split, "beats": [0.5, 1.0]} for split in ("train", "dev", "test")]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert custom_task(str(tmp_path), "beats", "beat")[1].examples[1].label == (0.5, 1.0)


@pytest.mark.parametrize(
    "rows,message",
    [
        (
            ["a.wav,train,x,one", "b.wav,train,y,one"],
            "a.wav and b.wav share --track_column song .* different labels; fix",
        ),
        (
            ["a.wav,train,x,one", "b.wav,test,x,one"],
            "a.wav and b.wav share --track_column song .* different splits; fix",
        ),
    ],
)
def test_a_track_has_one_label_and_one_split(tmp_path, rows, message):
    folder = folder_with(tmp_path, rows, header="file_name,split,label,song")
    with pytest.raises(UserError, match=message):
        custom_task(folder, "label", track_column="song")


@pytest.mark.parametrize(
    "rows,label,kind,message",
    [
        (THREE, "colour", "multiclass", "no column 'colour'; available: clip_id, file_name, label"),
        (THREE[:2], "label", "multiclass", "no labelled clips for test"),
        (THREE, "label", "regression", "a.wav, column label: could not convert string to float: 'x'"),
        (THREE, "label", "key", "a.wav, column label: 'x' is not a key"),
        (["a.wav,somewhere,x"], "label", "multiclass", "row 2 has no split"),
        (THREE, "label", "colour", "--type colour: unknown kind of label; available: multiclass, multilabel"),
    ],
)
def test_errors_name_the_place(tmp_path, rows, label, kind, message):
    with pytest.raises(UserError, match=message):
        custom_task(folder_with(tmp_path, rows), label, kind)
