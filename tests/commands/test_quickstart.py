"""`musicssl quickstart`: the steps it starts, and what it says when one fails."""

import subprocess
import sys

import pytest

from musicssl.commands import quickstart
from musicssl.commands.main import main


class Recorded:
    """Stands for subprocess.Popen: notes the command lines; the command `failing` has status 3."""

    def __init__(self, failing: str = ""):
        self.lines, self.failing = [], failing

    def __call__(self, line):
        self.lines.append(line)
        self.status = 3 if self.failing in line else 0
        return self

    def wait(self):
        return self.status


@pytest.fixture
def started(monkeypatch, tmp_path):
    recorded = Recorded()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", recorded)
    return recorded


def musicssl_lines(recorded: Recorded) -> list[str]:
    """What follows `-m musicssl` in each command line."""
    return [" ".join(line[line.index("musicssl") + 1 :]) for line in recorded.lines]


def test_the_four_steps_are_the_commands_a_user_would_type(started, capsys):
    assert main(["quickstart"]) == 0
    folder = "runs/quickstart"
    assert musicssl_lines(started) == [
        f"demo --output_dir {folder}/demo",
        f"pretrain --config music2vec_tiny --train_data {folder}/demo/pretrain --output_dir {folder}/music2vec",
        f"pretrain --config musichubert_tiny --train_data {folder}/demo/pretrain --output_dir {folder}/musichubert",
        f"probe --model {folder}/music2vec {folder}/musichubert random:{folder}/music2vec random:{folder}/musichubert "
        f"mfcc --custom_task {folder}/demo/probe/notes --label instrument pitch_class --learning_rates 1e-3 5e-3 "
        f"--seeds 3 --feature_store {folder}/features --output_dir {folder}/probe",
    ]
    assert all(line[0] == sys.executable for line in started.lines)
    launched = "-m accelerate.commands.launch --quiet --cpu --num_processes 1 --num_machines 1 --mixed_precision no"
    assert [launched in " ".join(line) for line in started.lines] == [False, True, True, False]
    printed = capsys.readouterr().out
    assert f"{folder}/probe/report.html" in printed and printed.count("== done in ") == 4


def test_own_music_and_few_updates_are_handed_on(started, tmp_path):
    (tmp_path / "mine").mkdir()
    assert main(["quickstart", "--music", "mine", "--max_updates", "20", "--output_dir", "out"]) == 0
    trainings = [line for line in musicssl_lines(started) if line.startswith("pretrain")]
    assert len(trainings) == 2
    assert all("--train_data mine --output_dir out/" in line for line in trainings)
    assert all(line.endswith("--max_updates 20 --warmup_updates 2") for line in trainings)


def test_a_step_that_fails_stops_the_quick_start(started, capsys):
    started.failing = "pretrain"
    assert main(["quickstart"]) == 2
    assert len(started.lines) == 2
    assert "error: musicssl pretrain failed (status 3)" in capsys.readouterr().err


def test_what_is_missing_is_said_before_anything_starts(started, monkeypatch, capsys):
    monkeypatch.setattr(quickstart, "PACKAGES", ("torch", "no_such_package"))
    assert main(["quickstart"]) == 2
    assert "not installed: no_such_package; pip install" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["quickstart", "--max_updates", "1"]) == 2
    assert not started.lines
