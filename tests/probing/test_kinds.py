"""A kind of task is one file: a new one is probed from the command line to the report without a change elsewhere."""

import json

import numpy as np
import pytest
import soundfile
import torch

from musicssl.commands.probe import main
from musicssl.errors import UserError
from musicssl.probing import names
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.kinds import KINDS, get_kind
from musicssl.probing.kinds.base import ClipKind, FrameKind
from musicssl.probing.kinds.evaluation import Evaluation
from musicssl.probing.metrics import batched

METHODS = ("parse", "encode", "target", "label_notes", "loss", "monitor", "evaluate", "picture")
RATE = 16000


class Angle(ClipKind):
    """Toy: a direction in degrees, two outputs, scored by the cosine of the error."""

    name = "angle"
    column = "degrees"
    metrics = ("cosine",)
    monitor_name = "cosine"
    picture_name = "errors of angles"
    learning_rates = (5e-3,)

    def parse(self, values):
        return float(values[0]) % 360

    def encode(self, columns, labels):
        return ("x", "y"), labels

    def target(self, label, vocabulary):
        return np.array([np.cos(np.deg2rad(label)), np.sin(np.deg2rad(label))], dtype=np.float32)

    def loss(self, outputs, targets):
        return (1 - torch.cosine_similarity(outputs, targets, dim=-1)).sum(dim=1)

    def monitor(self, outputs, targets):
        return torch.cosine_similarity(outputs, targets, dim=-1).mean(dim=1)

    def evaluate(self, test):
        cosines = torch.cosine_similarity(test.outputs, test.targets, dim=-1).double()  # (K, n)
        weights = test.weights.double()
        resampled = (weights @ cosines.T / weights.sum(dim=1, keepdim=True)).numpy()
        degrees = torch.rad2deg(torch.acos(cosines.clamp(-1, 1))).mean(dim=0)
        return Evaluation(
            {"cosine": cosines.mean(dim=1).tolist()}, {"cosine": resampled}, {"degrees": degrees.tolist()}
        )

    def picture(self, result):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2, 2))
        figure.subplots().hist(result["details"]["degrees"])
        return figure


class Loud(FrameKind):
    """Toy: when a clip is loud, one binary decision a frame."""

    name = "loud"
    column = "start and end in seconds"
    metrics = ("frame_accuracy",)

    def parse(self, values):
        return tuple(float(time) for time in values[0].split())

    def encode(self, columns, labels):
        return ("quiet", "loud"), labels

    def target(self, clip, training):
        times = clip.start_seconds + np.arange(clip.num_frames) / clip.frame_rate_hz
        return ((times >= clip.label[0]) & (times < clip.label[1])).astype(np.int64)

    def loss(self, outputs, targets):
        return get_kind("multiclass").loss(outputs, targets)

    def monitor(self, outputs, targets):
        return get_kind("multiclass").monitor(outputs, targets)

    def evaluate(self, test):
        lengths = torch.tensor([clip.num_frames for clip in test.clips])
        weights = test.weights.repeat_interleave(lengths, dim=1)
        resampled = batched.accuracy(test.outputs, test.targets, weights).numpy()
        seeds = (test.outputs.argmax(-1) == test.targets).double().mean(dim=1)
        return Evaluation({"frame_accuracy": seeds.tolist()}, {"frame_accuracy": resampled})


@pytest.fixture
def collection(tmp_path):
    """Tones whose pitch tells their angle, twice as loud in their second half."""
    folder, time = tmp_path / "tones", np.arange(RATE) / RATE
    folder.mkdir()
    rows = ["file_name,split,direction,loud"]
    for number in range(24):
        angle = 30 * (number % 4) + number // 4
        wave = 0.3 * np.sin(2 * np.pi * (200 + 10 * angle) * time) * np.where(time < 0.5, 0.05, 1)
        soundfile.write(folder / f"{number}.wav", wave.astype(np.float32), RATE)
        rows.append(f"{number}.wav,{('train', 'train', 'validation', 'test')[number // 4 % 4]},{angle},0.5 1.0")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("kind,label,metric", [(Angle(), "direction", "cosine"), (Loud(), "loud", "frame_accuracy")])
def test_a_new_kind_is_probed_end_to_end(kind, label, metric, collection, tiny_encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(KINDS, kind.name, kind)
    monkeypatch.setattr(names, "KIND_NAMES", (*names.KIND_NAMES, kind.name))
    arguments = [
        "--model", tiny_encoder, "mfcc", "--custom_task", collection, "--label", label, "--type", kind.name,
        "--seeds", 2, "--max_epochs", 30, "--bootstrap_resamples", 20, "--learning_rates", "5e-3",
        "--output_dir", tmp_path / "out", "--feature_store", tmp_path / "store",
    ]  # fmt: skip
    assert main([*map(str, arguments)]) == 0
    (task,) = json.loads((tmp_path / "out" / "mfcc" / "results.json").read_text())["tasks"].values()
    assert task["kind"] == kind.name and task["primary_metric"] == metric
    assert task["metrics"][metric]["mean"] > 0.8
    low, high = task["metrics"][metric]["ci95"]
    assert low <= high <= 1
    printed = capsys.readouterr().out
    assert f"| {metric}" in printed and f"{100 * task['metrics'][metric]['mean']:.1f}" in printed
    page = (tmp_path / "out" / "report.html").read_text()
    assert (kind.picture_name in page) if kind.picture_name else page.count("<img") == 2
    # Finished: the same command does nothing again.
    before = (tmp_path / "out" / "results.json").read_text()
    assert main([*map(str, arguments), "--no_report"]) == 0
    assert (tmp_path / "out" / "results.json").read_text() == before


def test_every_kind_answers_the_same_questions():
    assert tuple(KINDS) == names.KIND_NAMES and tuple(ACOUSTIC_FEATURES) == names.ACOUSTIC_FEATURE_NAMES
    for name, kind in KINDS.items():
        assert kind.name == name and kind.column and kind.metrics
        assert all(callable(getattr(kind, method)) for method in METHODS)
    with pytest.raises(UserError, match="--type chord: unknown kind of label; available: multiclass, multilabel"):
        get_kind("chord")
