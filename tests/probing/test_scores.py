"""The vectorized scores equal the `evaluate` metrics, those equal their references, and both handle absent classes."""

from pathlib import Path

import evaluate
import mir_eval
import numpy as np
import pytest
import torch

from musicssl.keys import KEYS
from musicssl.probing import metrics
from musicssl.probing.metrics import batched as scores
from musicssl.probing.metrics.accuracy import Accuracy
from musicssl.probing.metrics.beat_f import BeatF
from musicssl.probing.metrics.key_score import KEY_SCORES, KeyScore
from musicssl.probing.metrics.r2 import R2
from musicssl.probing.metrics.tagging import Tagging

NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def resample(counts):
    """Indices that hold clip i `counts[i]` times."""
    return np.repeat(np.arange(len(counts)), counts)


def bootstrap(clips, generator):
    return torch.stack([torch.bincount(torch.randint(clips, (clips,), generator=generator), minlength=clips)] * 2)


def test_ranking_scores_equal_scikit_learn_with_ties_and_resamples(generator):
    outputs = (torch.randn(3, 40, 5, generator=generator) * 2).round()  # rounded: many ties
    targets = (torch.rand(40, 5, generator=generator) < 0.3).int()
    weights = torch.cat([torch.ones(1, 40, dtype=torch.long), bootstrap(40, generator)[:1]])
    areas, precisions = (f(outputs, targets, weights.float()) for f in (scores.roc_auc, scores.average_precision))
    for row, counts in enumerate(weights.numpy()):
        index = resample(counts)
        for head in range(3):
            expected = Tagging().compute(predictions=outputs[head][index], references=targets[index])
            assert areas[row, head].nanmean().item() == pytest.approx(expected["roc_auc"], abs=1e-9)
            assert precisions[row, head].nanmean().item() == pytest.approx(expected["average_precision"], abs=1e-9)


def test_absent_tags_are_left_out_and_named(generator):
    outputs, targets = torch.randn(1, 20, 3, generator=generator), torch.zeros(20, 3, dtype=torch.int)
    targets[:7, 0], targets[:, 2] = 1, 1  # tag 1 never, tag 2 always
    result = Tagging().compute(predictions=outputs[0], references=targets)
    assert result["absent_tags"] == [1, 2]
    area = scores.roc_auc(outputs, targets, torch.ones(1, 20))[0, 0]
    assert area.isnan().tolist() == [False, True, True] and area[0].item() == pytest.approx(result["roc_auc"])


def test_class_and_regression_scores_equal_the_metrics(generator):
    outputs, labels = torch.randn(2, 30, 24, generator=generator), torch.randint(24, (30,), generator=generator)
    outputs[:, torch.arange(30), labels] += 2
    values = torch.randn(30, 24, generator=generator)
    weights = bootstrap(30, generator)[:1]
    index = resample(weights[0].numpy())
    for head in range(2):
        predicted = outputs[head].argmax(-1)
        expected = Accuracy().compute(predictions=predicted[index], references=labels[index])["accuracy"]
        assert scores.accuracy(outputs, labels, weights)[0, head].item() == pytest.approx(expected)
        expected = KeyScore().compute(predictions=predicted[index], references=labels[index])["key_score"]
        assert scores.key_score(outputs, labels, weights)[0, head].item() == pytest.approx(expected)
        expected = R2().compute(predictions=outputs[head][index], references=values[index])["r2_per_dimension"]
        assert scores.r2(outputs, values, weights)[0, head].tolist() == pytest.approx(expected, abs=1e-6)


def test_key_score_is_mir_evals_for_every_pair():
    names = [f"{name} {mode}" for mode in ("major", "minor") for name in NAMES]
    assert tuple(names) == KEYS
    expected = [[mir_eval.key.weighted_score(reference, estimate) for estimate in names] for reference in names]
    assert np.array_equal(KEY_SCORES, expected)


def test_beat_f_is_pooled_over_tracks():
    references = [[0.5, 1.0, 1.5, 2.0], [1.0]]
    estimates = [[0.55, 1.05, 1.9], [1.01, 2.0, 3.0]]
    result = BeatF().compute(predictions=estimates, references=references)
    assert result["beat_f1_70ms_micro"] == pytest.approx(2 * 3 / (6 + 5))
    per_track = [mir_eval.beat.f_measure(np.array(r), np.array(e)) for r, e in zip(references, estimates, strict=True)]
    assert result["beat_f1_70ms"] == pytest.approx(np.mean(per_track))
    assert result["beat_f1_20ms_micro"] == pytest.approx(2 * 1 / 11)
    assert BeatF().compute(predictions=[[]], references=[[1.0]])["beat_f1_70ms_micro"] == 0


@pytest.mark.parametrize("name", ["accuracy", "tagging", "r2", "key_score", "beat_f"])
def test_metrics_load_by_path_and_take_batches(name, tmp_path):
    path = Path(metrics.__file__).with_name(f"{name}.py")
    metric = evaluate.load(str(path), cache_dir=str(tmp_path))
    batches = {
        "accuracy": ([[0, 1], [1]], [[0, 1], [0]], ("accuracy", 2 / 3)),
        "key_score": ([[0, 7], [12]], [[0, 0], [0]], ("key_score", 1.7 / 3)),
        "r2": ([[[1.0], [2.0]], [[3.0]]], [[[1.0], [2.0]], [[3.0]]], ("r2", 1.0)),
        "tagging": ([[[0.1], [0.9]], [[0.5]]], [[[0], [1]], [[0]]], ("roc_auc", 1.0)),
        "beat_f": ([[[1.0]], [[2.0]]], [[[1.0]], [[3.0]]], ("beat_f1_70ms_micro", 0.5)),
    }
    predictions, references, (key, expected) = batches[name]
    for predicted, labelled in zip(predictions, references, strict=True):
        metric.add_batch(predictions=predicted, references=labelled)
    assert metric.compute()[key] == pytest.approx(expected)
