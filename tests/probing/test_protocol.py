"""The choice is made on validation, one task's failure is not the others', finished work is not done again."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from musicssl.errors import UserError
from musicssl.probing import probe as session
from musicssl.probing.encoders.features import ExtractionSettings, Extractor
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.heads.heads import Head, TrainedHeads
from musicssl.probing.kinds.key import key_error_shares
from musicssl.probing.probe import probe_model
from musicssl.probing.protocol import ProbeSettings, layer_scores
from musicssl.probing.results.compare import compare
from musicssl.probing.results.tables import failures, published_notes, published_table, score_table
from musicssl.probing.tasks.custom import custom_task


@pytest.fixture
def settings(tmp_path):
    extraction = ExtractionSettings(tmp_path / "store", batch_seconds=4.0)
    return ProbeSettings(extraction, learning_rates=(5e-3,), seeds=(0, 1), epochs=5, bootstrap_resamples=40)


def loaded(folder, label, kind="multiclass"):
    return custom_task(str(folder), label, kind)


def test_layer_and_rate_are_the_best_mean_over_seeds():
    heads = [Head(layer, rate, seed) for layer in "01" for rate in (1e-3, 1e-2) for seed in (0, 1)]
    validation = torch.tensor([0.1, 0.9, 0.6, 0.5, 0.2, 0.2, 0.0, 1.0])
    layers = layer_scores(TrainedHeads(heads, {}, validation, validation, None))
    assert layers["0"]["learning_rate"] == 1e-2 and layers["0"]["validation"] == pytest.approx(0.55)
    assert layers["1"]["seeds"] == [0.0, 1.0]


def test_every_kind_of_label_gives_its_metrics(labelled_notes, tiny_encoder, settings, tmp_path):
    kinds = {"register": "multiclass", "tags": "multilabel", "height": "regression", "key": "key", "beats": "beat"}
    tasks = [loaded(labelled_notes, label, kind) for label, kind in kinds.items()]
    content = probe_model(load_encoder(str(tiny_encoder)), tasks, {}, settings, tmp_path / "out")
    assert not content["errors"]
    for task, _ in tasks:
        result = content["tasks"][task.name]
        assert set(task.metrics) <= set(result["metrics"])
        for metric in result["metrics"].values():
            assert len(metric["seeds"]) == 2 and metric["mean"] == pytest.approx(np.mean(metric["seeds"]))
        assert set(result["layers"]) == {"0", "1", "2", "sum"}
        assert task.name in score_table([content]).text()


def test_a_task_that_fails_is_on_record_and_the_others_run(labelled_notes, tiny_encoder, settings, tmp_path):
    task, data = loaded(labelled_notes, "register")
    for example in data.examples:
        if example.split == "test":
            object.__setattr__(example, "audio", str(tmp_path / "absent.wav"))
    good = loaded(labelled_notes, "key", "key")
    encoder = load_encoder(str(tiny_encoder))
    content = probe_model(encoder, [(task, data), good], {"other": "not there"}, settings, tmp_path / "out")
    assert list(content["tasks"]) == [good[0].name]
    assert "no usable clip in test" in content["errors"][task.name] and content["errors"]["other"] == "not there"
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == content
    assert "not there" in "\n".join(failures([content]))


def test_published_numbers_stand_only_beside_comparable_scores():
    def result(**facts):
        metrics = {"accuracy": {"mean": 0.5, "ci95": None}}
        return {
            "metrics": metrics,
            "layers": {"0": {}},
            "layer": "0",
            "split_sizes": {"test": 9},
            "comparable_to": "M",
            **facts,
        }

    genre, pitch = result(comparable=True), result(comparable=False)
    results = [{"model": "mine", "tasks": {"gtzan_genre": genre, "nsynth_pitch": pitch}}]
    table, notes = published_table(results).markdown(), published_notes(results)
    assert "73.5" in table and "gtzan_genre | acc" in table  # MusiCNN's
    assert "| nsynth_pitch" not in table and "No published numbers beside nsynth_pitch" in notes[-1]
    alone = [{"model": "mine", "tasks": {"nsynth_pitch": pitch}}]
    assert published_table(alone) is None
    assert len(published_notes(alone)) == 1 and published_notes(alone)[0].startswith("No published numbers")


def test_flags_that_change_the_protocol_are_not_standard(settings):
    assert not settings.standard  # learning rates and epochs of the fixture
    standard = replace(settings, learning_rates=None, epochs=None)
    assert standard.standard and not replace(standard, channel_mode="left").standard


def test_tasks_that_share_audio_are_encoded_once_and_finished_tasks_are_kept(
    labelled_notes, tiny_encoder, settings, tmp_path, monkeypatch
):
    encoded = []
    extract = Extractor.extract
    monkeypatch.setattr(Extractor, "extract", lambda self, *a, **k: encoded.append(extract(self, *a, **k)))
    tasks = [loaded(labelled_notes, "register"), loaded(labelled_notes, "key", "key")]
    encoder = load_encoder(str(tiny_encoder))
    first = probe_model(encoder, tasks, {}, settings, tmp_path / "out")
    assert encoded == [36]
    monkeypatch.setattr(session, "probe_task", lambda *a: pytest.fail("a finished task was done again"))
    assert probe_model(encoder, tasks, {}, settings, tmp_path / "out") == first
    assert encoded == [36, 0]
    with pytest.raises(UserError, match="holds the results of"):
        probe_model(load_encoder("mfcc"), tasks, {}, settings, tmp_path / "out")


def test_comparison_is_paired_and_knows_equal_from_different(tmp_path):
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.05, size=(200, 3))
    for name, level in (("a", 0.5), ("b", 0.5), ("c", 0.8)):
        (tmp_path / name / "predictions").mkdir(parents=True)
        task = {"primary_metric": "accuracy", "metrics": {"accuracy": {"mean": level}}}
        (tmp_path / name / "results.json").write_text(json.dumps({"model": name, "tasks": {"t": task}}))
        jitter = generator.normal(0, 0.01, size=noise.shape)
        np.savez(
            tmp_path / name / "predictions" / "t.npz",
            track_ids=["x"], **{"resampled/accuracy": level + noise + jitter},
        )  # fmt: skip
    differences, notes = compare([tmp_path / name for name in "abc"])
    p = {(each.first, each.second): each.p_value for each in differences}
    assert not notes and p["a", "b"] > 0.3 and p["a", "c"] < 0.05 and p["b", "c"] < 0.05


def test_key_errors_fall_where_musicians_look_for_them():
    confusion = np.zeros((24, 24))
    confusion[0, 0] = confusion[0, 7] = 1  # C major as itself, as G major
    confusion[0, 21] = confusion[21, 0] = 1  # as its relative A minor, and back
    confusion[0, 12] = confusion[12, 0] = 1  # as its parallel, and back
    shares = key_error_shares(confusion) * 6
    assert shares[0, 0] == pytest.approx(1) and shares[0, 1] == pytest.approx(1)
    assert shares[1, 0] == pytest.approx(2) and shares[1, 3] == pytest.approx(2)
