"""Whole runs in this process: they learn, resume exactly, and stop with a reason."""

import json
import os
import shutil
import signal
import subprocess

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

from musicssl.audio import sources
from musicssl.errors import UserError
from musicssl.pretraining.files import checkpoint
from musicssl.pretraining.files.checkpoint import list_checkpoints
from musicssl.pretraining.files.metrics import read_metrics
from musicssl.pretraining.model import building
from musicssl.pretraining.model.device import build_accelerator
from musicssl.pretraining.run import train
from musicssl.pretraining.training.health import UnhealthyRun
from musicssl.pretraining.training.objectives import Music2VecObjective

MODELS = ("music2vec", "musichubert")


def run(config, **options):
    AcceleratorState._reset_state(True)
    return train(config, build_accelerator(config), **options)


def rows_without_speed(output_dir):
    """metrics.jsonl without what a clock decides."""
    rows = read_metrics(output_dir / "metrics.jsonl")
    return [{name: value for name, value in row.items() if not name.startswith("perf/")} for row in rows]


def assert_same_run(first, second):
    """Newest weights (teacher included), optimiser, rows: equal bit for bit."""
    a, b = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    name = list_checkpoints(first)[-1].name
    states = [torch.load(path / name / "optimizer.pt", weights_only=True)["state"] for path in (first, second)]
    for key, entry in states[0].items():
        assert all(torch.equal(entry[moment], states[1][key][moment]) for moment in entry)
    assert rows_without_speed(first) == rows_without_speed(second)


@pytest.mark.parametrize("model", MODELS)
def test_run_is_written_and_interrupted_run_equals_whole_run(model, small_run, tones, tmp_path):
    """SIGTERM between two rows, then the same command again: nothing differs, and the result loads by AutoModel."""
    flags = ["--validation_data", tones, "--validation_clips", 4, "--log_every", 4, "--checkpoint_every", 8]
    flags += ["--max_updates", 8, "--model_config", "hidden_dropout=0.1", "attention_dropout=0.1"]
    whole = small_run(model, tmp_path / "whole", *flags)
    assert run(whole).finished
    interrupted = small_run(model, tmp_path / "interrupted", *flags, "--checkpoint_every", 3)
    result = run(interrupted, after_checkpoint=lambda directory, update: os.kill(os.getpid(), signal.SIGTERM))
    assert not result.finished
    assert 3 < result.update < 8
    result = run(small_run(model, tmp_path / "interrupted", *flags))
    assert (result.finished, result.update) == (True, 8)
    validations = [row for row in rows_without_speed(tmp_path / "interrupted") if "learning_rate" not in row]
    assert validations
    for directory in ("whole", "interrupted"):
        path = tmp_path / directory / "metrics.jsonl"
        path.write_text("".join(line for line in path.open() if "validation/" not in line))
    assert_same_run(tmp_path / "whole", tmp_path / "interrupted")

    output_dir = tmp_path / "whole"
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "recipe.yaml", "training.png"} <= {
        path.name for path in output_dir.iterdir()
    }
    encoder = AutoModel.from_pretrained(output_dir)
    pretraining = AutoModelForPreTraining.from_pretrained(output_dir)
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, pretraining.base_model.get_parameter(name))
    assert AutoFeatureExtractor.from_pretrained(output_dir).do_normalize == (model == "music2vec")
    again = run(small_run(model, output_dir, *flags))
    assert again.finished


@pytest.mark.parametrize("model", MODELS)
def test_loss_falls(model, small_run, tmp_path):
    config = small_run(
        model, tmp_path, "--max_updates", 40, "--log_every", 5, "--checkpoint_every", 40, "--learning_rate", 3e-3
    )
    run(config)
    losses = [row["loss/masked"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert sum(losses[-3:]) / 3 < 0.85 * losses[0]


@pytest.mark.parametrize("model", MODELS)
def test_bf16_keeps_weights_and_teacher_in_fp32(model, small_run, tmp_path):
    run(small_run(model, tmp_path, "--mixed_precision", "bf16", "--max_updates", 3))
    tensors = load_file(tmp_path / "model.safetensors").values()
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in tensors)
    assert 0 < read_metrics(tmp_path / "metrics.jsonl")[0]["loss/masked"] < 20


def test_audio_is_opened_once_and_the_model_configured_once(small_run, tmp_path, monkeypatch):
    """Also where labels are fitted, measured and stored."""
    calls = []

    def count(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **options: calls.append(name) or real(*args, **options))

    count(sources, "_open_table")
    count(building, "build_model_config")
    config = small_run("musichubert", tmp_path, "--store_labels", "true")
    assert run(config).finished
    assert sorted(calls) == ["_open_table", "build_model_config"]


def test_old_checkpoints_go_and_the_best_stays(small_run, tones, tmp_path):
    flags = ["--checkpoint_every", 1, "--keep_checkpoints", 2, "--validation_data", tones, "--validation_clips", 4]
    run(small_run("music2vec", tmp_path, *flags, "--learning_rate", 1e-2))
    losses = {
        row["update"]: row["validation/loss/masked"]
        for row in read_metrics(tmp_path / "metrics.jsonl")
        if "validation/loss/masked" in row
    }
    best = min(losses, key=losses.get)
    kept = {int(path.name.split("-")[1]) for path in list_checkpoints(tmp_path)}
    assert kept == {5, 6, best}
    assert os.path.samefile(tmp_path / "model.safetensors", tmp_path / "checkpoint-000006" / "model.safetensors")


def test_one_bad_update_is_skipped_and_many_stop_the_run(small_run, tmp_path, monkeypatch):
    prepare, calls = Music2VecObjective.prepare, []

    def poisoned(self, batch, generator):
        inputs = prepare(self, batch, generator)
        calls.append(None)
        if len(calls) - 1 in bad_updates:
            inputs["input_values"] = inputs["input_values"] * torch.nan
        return inputs

    monkeypatch.setattr(Music2VecObjective, "prepare", poisoned)
    bad_updates = {2}
    run(small_run("music2vec", tmp_path / "one", "--micro_batch_clips", 2))
    last = read_metrics(tmp_path / "one" / "metrics.jsonl")[-1]
    assert last["health/skipped_updates"] == 1
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "one" / "model.safetensors").values())

    calls.clear()
    bad_updates = set(range(4, 100))
    config = small_run(
        "music2vec", tmp_path / "many", "--micro_batch_clips", 2, "--max_updates", 50, "--max_nonfinite_updates", 3
    )
    with pytest.raises(UnhealthyRun, match=r"update 6: .*not finite 3 times.*checkpoint-000006|checkpoint-000003"):
        run(config)
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "many" / "model.safetensors").values())


def test_collapse_stops_the_run_with_cause_and_remedy(small_run, tmp_path):
    config = small_run(
        "music2vec", tmp_path, "--learning_rate", 1, "--max_grad_norm", 0, "--collapse_grace_updates", 5,
        "--max_updates", 60, "--checkpoint_every", 2,
    )  # fmt: skip
    with pytest.raises(UnhealthyRun, match=r"collapse: (prediction|target)/std is .*checkpoint-0000.*--learning_rate"):
        run(config)
    AutoModel.from_pretrained(tmp_path)


def test_divergence_stops_the_run(small_run, tmp_path):
    config = small_run(
        "musichubert", tmp_path, "--learning_rate", 3, "--max_grad_norm", 0, "--divergence_updates", 5,
        "--max_updates", 200, "--log_every", 50, "--checkpoint_every", 100, "--max_nonfinite_updates", 1000,
    )  # fmt: skip
    with pytest.raises(UnhealthyRun, match="divergence: the smoothed loss"):
        run(config)


def test_full_disk_leaves_the_last_checkpoint_usable(small_run, tmp_path):
    small_disk = tmp_path / "small"
    small_disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1700k", "tmpfs", small_disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        config = small_run("music2vec", small_disk / "run", "--checkpoint_every", 1, "--keep_checkpoints", 9)
        with pytest.raises(UserError, match="the disk is full.*last good checkpoint is .*checkpoint-00000"):
            run(config)
        good = list_checkpoints(small_disk / "run")
        assert good
        AutoModelForPreTraining.from_pretrained(good[-1])
        assert not list((small_disk / "run").glob(".checkpoint*"))
        for path in good[:-1]:
            shutil.rmtree(path)
        assert run(small_run("music2vec", small_disk / "run", "--checkpoint_every", 10)).finished
    finally:
        subprocess.run(["umount", "--lazy", small_disk], check=True)


def test_data_that_vanish_stop_the_run_and_it_goes_on_when_they_are_back(small_run, make_tones, tmp_path):
    audio = make_tones(tmp_path / "audio", 8)
    away = tmp_path / "away"

    def unplug(directory, update):
        if update == 3:
            shutil.move(audio, away)

    flags = ["--train_data", audio, "--max_updates", 30]
    with pytest.raises(UserError, match="--max_bad_fraction"):
        run(small_run("music2vec", tmp_path / "run", *flags), after_checkpoint=unplug)
    shutil.move(away, audio)
    (tmp_path / "run" / "bad_files.jsonl").unlink()
    assert run(small_run("music2vec", tmp_path / "run", *flags)).finished


def test_resuming_another_run_names_what_changed(small_run, tmp_path):
    run(small_run("music2vec", tmp_path, "--max_updates", 3))
    with pytest.raises(UserError, match="--mask_span was 10, is 5.*another --output_dir"):
        run(small_run("music2vec", tmp_path, "--mask_span", 5))
    with pytest.raises(UserError, match="--resume none, but .* holds a run up to checkpoint-000003"):
        run(small_run("music2vec", tmp_path, "--resume", "none"))
    with pytest.raises(UserError, match="no checkpoint there"):
        run(small_run("music2vec", tmp_path, "--resume", tmp_path / "nowhere"))
    state = json.loads((tmp_path / "checkpoint-000003" / "trainer_state.json").read_text())
    assert state["update"] == 3


def test_a_new_branch_sets_the_old_ones_checkpoints_aside(tmp_path):
    """Else they would be the newest: kept in the place of the new branch's, and resumed."""
    for update in (10, 20, 30):
        path = checkpoint.checkpoint_path(tmp_path, update)
        path.mkdir()
        (path / checkpoint.STATE_FILE).write_text("{}")
    assert checkpoint.set_aside_newer(tmp_path, checkpoint.find_checkpoint(tmp_path, "auto")) is None
    chosen = checkpoint.find_checkpoint(tmp_path, str(tmp_path / "checkpoint-000010"))
    branch = checkpoint.set_aside_newer(tmp_path, chosen)
    assert [path.name for path in checkpoint.list_checkpoints(branch)] == ["checkpoint-000020", "checkpoint-000030"]
    assert checkpoint.find_checkpoint(tmp_path, "auto") == chosen
    assert checkpoint.set_aside_newer(tmp_path / "another", chosen) is None
