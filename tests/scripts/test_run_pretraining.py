"""run_pretraining.py as users launch it: two processes, killed, resumed; what wrong input is told."""

import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from musicssl.commands.pretrain import main, pretrain
from musicssl.errors import UserError
from musicssl.pretraining.files.metrics import read_metrics
from musicssl.pretraining.run import TrainingResult

SMALL = shlex.split(
    "--model_config hidden_size=32 num_hidden_layers=2 num_attention_heads=2 intermediate_size=48 projection_dim=16 "
    "num_conv_pos_embedding_groups=4 conv_dim=[8,8,8,8,8,8,8] layerdrop=0.2 --num_clusters 8 --warmup_updates 2 "
    "--crop_seconds 1 --min_seconds 1 --audio_seconds_per_update 4 --micro_batch_clips 1 --max_updates 60 "
    "--log_every 3 --checkpoint_every 5 --num_workers 1 --tf32 false"
)


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """Eleven clips of coloured noise, 1.5 s each."""
    folder = tmp_path_factory.mktemp("noise")
    generator = np.random.default_rng(0)
    for number in range(11):
        wave = np.cumsum(generator.standard_normal(24000)) % 7 / 20
        soundfile.write(folder / f"{number}.wav", wave, 16000)
    return folder


def launch(project_root: Path, noise: Path, output_dir: Path, *more: str) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", "musicssl/recipes/accelerate/cpu.yaml",
        "--main_process_port", "0", "run_pretraining.py", "--config", "musichubert_tiny", *SMALL,
        "--train_data", noise, "--output_dir", output_dir, *more,
    ]  # fmt: skip
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=project_root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL to the launcher, both processes (in sessions of their own) and their workers."""
    everyone = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for one in everyone:
        one.kill()
    psutil.wait_procs(everyone)
    process.communicate()


def wait_for_rows(process: subprocess.Popen, output_dir: Path, rows: int) -> None:
    """Until metrics.jsonl has so many rows."""
    path = output_dir / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not path.exists() or len(path.read_text().splitlines()) < rows:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "no rows written"
        time.sleep(0.02)


def test_two_processes_killed_twice_equal_two_left_alone(project_root, noise, tmp_path):
    """SIGKILL to everything, later SIGTERM to the launcher, at random moments: same weights, same rows."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = launch(project_root, noise, whole)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "2 process(es) x 2 accumulation x 1 clips" in output

    first, second = sorted(random.sample(range(2, 18), 2))
    process = launch(project_root, noise, killed)
    wait_for_rows(process, killed, first)
    kill_all(process)
    process = launch(project_root, noise, killed)
    wait_for_rows(process, killed, second)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert "stopped by SIGTERM" in output, output
    process = launch(project_root, noise, killed)
    output, _ = process.communicate()
    assert process.returncode == 0, output

    message = f"killed at row {first}, terminated at row {second}"
    expected, found = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")
    assert all(torch.equal(expected[name], found[name]) for name in expected), message
    rows = [
        [{k: v for k, v in row.items() if not k.startswith("perf/")} for row in read_metrics(path / "metrics.jsonl")]
        for path in (whole, killed)
    ]
    assert rows[0] == rows[1], message
    assert len(rows[0]) == 20


def test_two_processes_train_two_iterations(project_root, noise, tmp_path):
    """They stay together after an iteration, and the folder of the whole run has the newest model."""
    more = ["--log_with", "tensorboard", "--schedule", "tri_stage", "--iterations"]
    more += [f"{{features: {name}, clusters: 8, updates: 3}}" for name in ("mfcc39", "layer1")]
    process = launch(project_root, noise, tmp_path / "run", *more)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    newest, first, last = (
        load_file(tmp_path / "run" / name / "model.safetensors") for name in ("", "iteration-1", "iteration-2")
    )
    assert all(torch.equal(newest[name], last[name]) for name in last)
    assert not all(torch.equal(newest[name], first[name]) for name in first)


@pytest.mark.parametrize("entry", [["run_pretraining.py"], ["-m", "musicssl.commands.pretrain"]])
def test_wrong_input_is_one_line_and_status_2(entry, project_root, tmp_path):
    """Through the real entry points: no traceback, the flag and the fix."""
    result = subprocess.run(
        [sys.executable, *entry, "--config", "music2vec_tiny", "--train_data",
         str(tmp_path / "nowhere"), "--output_dir", str(tmp_path / "run")],
        cwd=project_root, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and "nowhere" in lines[0]


def test_a_dry_run_from_python_prints_and_trains_nothing(tmp_path, capsys):
    AcceleratorState._reset_state(True)
    assert pretrain("music2vec_tiny", train_data=["nowhere"], output_dir=tmp_path / "run", dry_run=True) is None
    assert "music2vec_tiny" in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_python_trains_as_the_command_line_does(noise, tmp_path):
    """The same weights, and the same refusals."""
    model_config = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
        "num_conv_pos_embedding_groups": 4, "conv_dim": [8] * 7,
    }  # fmt: skip
    settings = {"crop_seconds": 1, "min_seconds": 1, "audio_seconds_per_update": 2, "max_updates": 2}
    AcceleratorState._reset_state(True)
    result = pretrain(
        "music2vec_tiny", train_data=[noise], output_dir=tmp_path / "python", model_config=model_config, **settings
    )
    assert result == TrainingResult(tmp_path / "python", 2, finished=True)
    flags = [f"{key}={value}" for key, value in model_config.items()]
    settings = [f"--{key}={value}" for key, value in settings.items()]
    command = ["--config", "music2vec_tiny", "--train_data", str(noise), "--output_dir", str(tmp_path / "command")]
    main([*command, *settings, "--model_config", *flags])
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("python", "command"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    with pytest.raises(UserError, match="--mask_span is 0: it must be above 0"):
        pretrain("music2vec_tiny", train_data=[noise], output_dir=tmp_path / "python", mask_span=0)
