"""`probe` as a function is the command: the same checks, the same results, nothing heavy before it is used."""

import json
import subprocess
import sys

import pytest

from musicssl.commands.probe import main
from musicssl.errors import UserError
from musicssl.probing.probe import probe


def test_the_function_gives_what_the_command_writes(labelled_notes, tiny_encoder, tmp_path):
    settings = {"seeds": 2, "max_epochs": 3, "learning_rates": [5e-3], "bootstrap_resamples": 20}
    contents = probe(
        [tiny_encoder, "mfcc"], custom_task=labelled_notes, label=["register", "key"], kinds=["multiclass", "key"],
        output_dir=tmp_path / "function", feature_store=str(tmp_path / "store"), **settings,
    )  # fmt: skip
    command = [
        "--model", tiny_encoder, "mfcc", "--custom_task", labelled_notes, "--label", "register", "key",
        "--type", "multiclass", "key", "--seeds", 2, "--max_epochs", 3, "--learning_rates", "5e-3",
        "--bootstrap_resamples", 20, "--no_report",
        "--output_dir", tmp_path / "command", "--feature_store", tmp_path / "other_store",
    ]  # fmt: skip
    assert main([*map(str, command)]) == 0
    folders = (".", "mfcc")
    written, by_command = (
        [json.loads((tmp_path / name / folder / "results.json").read_text()) for folder in folders]
        for name in ("function", "command")
    )
    assert contents == written == by_command
    assert [content["model"] for content in contents] == [str(tiny_encoder), "mfcc"]


@pytest.mark.parametrize(
    "given,message",
    [
        ({}, "give either --tasks with --data_root, or --custom_task with --label"),
        ({"custom_task": "notes"}, "--label is missing"),
        ({"tasks": ["gtzan_genre", "emomusic"]}, "--tasks gtzan_genre,emomusic: --data_root is missing"),
        ({"tasks": "chords", "data_root": "."}, "--tasks chords: unknown task; available: magnatagatune, "),
        ({"custom_task": "notes", "label": "a", "kinds": ["key", "beat"]}, r"give one type, or one per label \(1\)"),
        ({"custom_task": ".", "label": "a", "kinds": "chord"}, "--type chord: unknown kind of label"),
        ({"custom_task": "notes", "label": "a", "pooling": "max"}, "--pooling max: available: mean, mean_std"),
        ({"custom_task": "notes", "label": "a", "seeds": 0}, "--seeds 0: must be above 0"),
    ],
)
def test_what_cannot_be_used_is_named_before_any_work(given, message):
    with pytest.raises(UserError, match=message):
        probe("mfcc", **given)


def test_importing_the_package_loads_no_torch():
    code = "import sys, musicssl.probing, musicssl.probing.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
