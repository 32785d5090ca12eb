"""The numbers that say how good labels are, where the right answer is known."""

import numpy as np
import pytest

from musicssl.labels.pictures import plot_agreement, plot_usage
from musicssl.labels.quality import agreement, agreement_table, usage, usage_table


def test_usage_counts_clusters_and_runs():
    measured = usage([np.array([0, 0, 0, 1, 1, 2]), np.array([2, 2])], num_clusters=5)
    assert measured["num_frames"] == 8
    assert measured["used_clusters"] == 3
    assert measured["mean_run_frames"] == 8 / 4  # runs do not cross clips
    share = np.array([3, 2, 3]) / 8
    assert measured["usage_perplexity"] == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_agreement_of_equal_independent_and_finer_labels():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 20_000)
    same = agreement((truth + 1) % 4, truth)
    assert same["normalised_mutual_information"] == pytest.approx(1)
    assert same["mutual_information"] == pytest.approx(np.log(4), abs=1e-3)
    assert same["class_purity"] == same["cluster_purity"] == pytest.approx(1)

    unrelated = agreement(generator.integers(0, 4, 20_000), truth)
    assert unrelated["mutual_information"] < 0.002
    assert unrelated["class_purity"] == pytest.approx(0.25, abs=0.02)

    finer = agreement(2 * truth + generator.integers(0, 2, 20_000), truth)
    assert finer["class_purity"] == pytest.approx(1)  # every cluster is one class
    assert finer["cluster_purity"] == pytest.approx(0.5, abs=0.02)  # every class is two clusters


def test_tables_and_pictures_name_every_codebook(tmp_path):
    quality = {"iteration 1: 0-mfcc39": usage([np.array([0, 1, 1])], 2) | {"rate_hz": 100.0}}
    assert "iteration 1: 0-mfcc39" in usage_table(quality)
    rows = [{"codebook": "0-mfcc39", "truth": "pitch", **agreement(np.array([0, 1]), np.array([0, 1]))}]
    assert "0-mfcc39  pitch" in agreement_table(rows)
    plot_usage(quality, tmp_path / "usage.png")
    plot_agreement(rows, tmp_path / "agreement.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("usage.png", "agreement.png"))
