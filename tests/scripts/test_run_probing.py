"""`run_probing.py` from the command line: the table, `results.json`, the report, errors, the same bits again."""

import json
import signal
import subprocess
import sys
import time

import pyarrow
import pytest
import soundfile
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

WIDTHS = {"low": 0, "high": 3}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(3)
    config = HubertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Two pitches, told apart by MFCCs; beats where the notes start."""
    folder = tmp_path_factory.mktemp("collection")
    time = torch.arange(16000) / 16000
    rows = ["file_name,split,register,key,beats"]
    for number in range(30):
        register = ("low", "high")[number % 2]
        frequency = 200 * 2 ** WIDTHS[register] * (1 + 0.01 * (number % 7))
        wave = 0.3 * torch.sin(2 * torch.pi * frequency * time) * torch.exp(-6 * (time % 0.5))
        soundfile.write(folder / f"{number}.wav", wave.numpy(), 16000)
        split = "train" if number < 16 else "validation" if number < 22 else "test"
        rows.append(f"{number}.wav,{split},{register},{('C', 'A')[number % 2]} {('major', 'minor')[number % 2]},0 0.5")
    (folder / "broken.wav").write_text("no audio")
    rows.append("broken.wav,train,low,C major,0 0.5")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def run(root, *arguments):
    command = [sys.executable, str(root / "run_probing.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)


def test_probe_two_models_on_three_kinds_of_label_and_again_bit_for_bit(project_root, encoder, collection, tmp_path):
    arguments = [
        "--model", encoder, "--baselines", "mfcc", "--custom_task", collection, "--label", "register", "key", "beats",
        "--type", "multiclass", "key", "beat", "--seeds", 2, "--learning_rates", "1e-3", "5e-3", "--max_epochs", 8,
        "--bootstrap_resamples", 50,
    ]  # fmt: skip
    first = run(project_root, *arguments, "--output_dir", tmp_path / "a", "--feature_store", tmp_path / "store")
    assert first.returncode == 0, first.stderr
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    baseline = json.loads((tmp_path / "a" / "mfcc" / "results.json").read_text())
    assert results["model"] == str(encoder) and results["versions"]["torch"]
    name = f"{collection.name}_register"
    task = results["tasks"][name]
    assert set(task["layers"]) == {"0", "1", "2", "sum"} and task["layer"] in task["layers"]
    assert len(task["metrics"]["accuracy"]["seeds"]) == 2 and len(task["metrics"]["accuracy"]["ci95"]) == 2
    assert task["split_sizes"] == {"train": 16, "validation": 6, "test": 8}
    assert list(task["skipped"]) == ["broken.wav"]
    assert baseline["tasks"][name]["metrics"]["accuracy"]["mean"] == 1.0
    assert f"{100 * task['metrics']['accuracy']['mean']:.1f}" in first.stdout
    page = (tmp_path / "a" / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 6
    assert "src='http" not in page and 'src="http' not in page and "href" not in page

    other = run(
        project_root, *arguments, "--output_dir", tmp_path / "b", "--feature_store", tmp_path / "other", "--no_report"
    )
    assert other.returncode == 0, other.stderr
    assert json.loads((tmp_path / "b" / "results.json").read_text()) == results


def stored_keys(store):
    """Every key of every file, as often as it was stored; the cut end of a killed run's file is left out."""
    keys = []
    for path in store.glob("*/*.arrow"):
        try:
            for batch in pyarrow.ipc.open_stream(path):
                keys += batch.column("key").to_pylist()
        except (pyarrow.ArrowInvalid, OSError):
            continue
    return keys


def test_killed_in_extraction_it_goes_on_without_encoding_a_clip_twice(
    project_root, encoder, tmp_path, monkeypatch, capsys
):
    rows, clips = ["file_name,split,loud"], 120
    generator = torch.Generator().manual_seed(0)
    for number in range(clips):
        wave = 0.1 * (1 + number % 2) * torch.randn(16000 * 2 + 160 * number, generator=generator).clamp(-4, 4)
        soundfile.write(tmp_path / f"{number}.wav", wave.numpy(), 16000)
        rows.append(f"{number}.wav,{('train', 'validation', 'test')[number // 2 % 3]},{number % 2}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    arguments = [
        "--model", encoder, "--custom_task", tmp_path, "--label", "loud", "--seeds", 1, "--learning_rates", "5e-3",
        "--max_epochs", 3, "--batch_seconds", 3, "--bootstrap_resamples", 20, "--no_report",
    ]  # fmt: skip
    arguments = [*map(str, arguments), "--output_dir"]
    store = tmp_path / "store"
    command = [
        sys.executable, project_root / "run_probing.py", *arguments, tmp_path / "killed", "--feature_store", store,
    ]  # fmt: skip
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and not stored_keys(store):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = stored_keys(store)
    assert 0 < len(before) < clips

    monkeypatch.syspath_prepend(project_root)
    from run_probing import main

    assert main([*arguments, str(tmp_path / "killed"), "--feature_store", str(store)]) == 0
    after = stored_keys(store)
    assert set(before) < set(after) and len(after) == len(set(after)) == clips
    assert main([*arguments, str(tmp_path / "whole"), "--feature_store", str(tmp_path / "other")]) == 0
    killed, whole = ((tmp_path / name / "results.json").read_text() for name in ("killed", "whole"))
    assert killed == whole


def test_a_task_that_fails_in_probing_fails_the_command(project_root, tmp_path, monkeypatch, capsys):
    rows = ["file_name,split,loud"]
    for number, split in enumerate(["train", "validation", "test"] * 2):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * torch.randn(16000).clamp(-4, 4).numpy(), 16000)
        if split == "test":
            path.write_text("no audio")
        rows.append(f"{path.name},{split},{number % 2}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.syspath_prepend(project_root)
    from run_probing import main

    arguments = ["--model", "mfcc", "--custom_task", tmp_path, "--label", "loud", "--output_dir", tmp_path / "out"]
    assert main([*map(str, arguments), "--feature_store", str(tmp_path / "store"), "--no_report"]) == 1
    assert "no usable clip in test" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--custom_task", "."], "--model is missing"),
        (["--custom_task", ".", "--label", "a", "--baselines"], "--model is missing"),
        (["--model", "mfcc"], "give either --tasks with --data_root, or --custom_task with --label"),
        (["--model", "mfcc", "--tasks", "all"], "--data_root is missing"),
        (["--model", "mfcc", "--custom_task", "."], "--label is missing"),
        (
            ["--model", "/nowhere/at/all", "--tasks", "all", "--data_root", "."],
            "--model /nowhere/at/all: no such file or folder",
        ),
        (
            ["--model", "mfcc", "--tasks", "gtzan", "--data_root", "."],
            "--tasks gtzan: unknown task; did you mean gtzan_genre or gtzan_rhythm? available: ",
        ),
        (["--model", "mfcc", "--tasks", "all", "--data_root", ".", "--seeds", "0"], "--seeds 0: must be above 0"),
        (["--model", "mfcc", "--tasks", "all", "--data_root", ".", "--learning_rates", "-1"], "--learning_rates -1.0"),
        (["--compare", "nowhere"], "nowhere holds no results.json"),
    ],
)
def test_mistakes_are_one_line_that_names_the_flag(arguments, message, project_root, monkeypatch, capsys):
    monkeypatch.syspath_prepend(project_root)
    from musicssl.errors import run_as_command
    from run_probing import main

    assert run_as_command(main, arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
