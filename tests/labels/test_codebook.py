"""Codebooks: k-means that uses every frame, and files that cannot be mixed up."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from musichubert.errors import LabelError
from musicssl.labels.codebook import Codebook, fit_codebook, perplexity
from musicssl.labels.settings import KMeansSettings


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """2,000 frames around ten well separated centres, and which centre each belongs to."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 20, (10, 6))
    owner = generator.integers(0, 10, 2000)
    return (centres[owner] + generator.normal(0, 0.5, (2000, 6))).astype(np.float32), owner


@pytest.fixture(scope="module")
def codebook(blobs) -> Codebook:
    return fit_codebook(blobs[0], 10, seed=3, metadata={"feature": "blobs", "feature_fingerprint": "f"})


def test_separated_clusters_are_found(blobs, codebook):
    frames, owner = blobs
    labels = codebook.assign(frames)
    assert labels.dtype == np.int64
    assert len({(label, who) for label, who in zip(labels, owner, strict=True)}) == 10
    distances = ((frames - codebook.centroids[labels]) ** 2).sum(1)
    assert codebook.metadata["objective"] == pytest.approx(distances.mean(), rel=1e-4)
    assert codebook.metadata["num_frames_used"] == len(frames)
    assert 9 < codebook.metadata["usage_perplexity"] <= 10
    assert codebook.metadata["unused_clusters"] == 0


@pytest.mark.parametrize("init", ["random", "kmeans++", "afkmc2"])
def test_the_seed_decides_the_codebook(init):
    frames = np.random.default_rng(1).normal(size=(3000, 8)).astype(np.float32)
    first, again, other = (fit_codebook(frames, 20, seed, KMeansSettings(init=init)) for seed in (0, 0, 1))
    assert first.hash == again.hash != other.hash
    # Lloyd's fixed point or near it: centroids are the means of their frames.
    labels = first.assign(frames)
    means = np.stack([frames[labels == k].mean(0) for k in range(20)])
    assert np.abs(means - first.centroids).max() < 0.1


def test_more_restarts_and_iterations_never_hurt():
    frames = np.random.default_rng(2).normal(size=(4000, 5)).astype(np.float32)
    objective = {
        settings: fit_codebook(frames, 30, kmeans=KMeansSettings(*settings, init="random")).metadata["objective"]
        for settings in ((1, 1), (10, 1), (10, 4))
    }
    assert objective[10, 4] <= objective[10, 1] < objective[1, 1]


def test_of_several_spherical_runs_the_one_with_the_smallest_distances_is_kept():
    frames = np.random.default_rng(2).normal(size=(4000, 5)).astype(np.float32)
    runs = [fit_codebook(frames, 30, seed, KMeansSettings(1, init="random", spherical=True)) for seed in range(4)]
    best = fit_codebook(frames, 30, 0, KMeansSettings(1, restarts=4, init="random", spherical=True))
    objectives = [run.metadata["objective"] for run in runs]
    assert best.metadata["objective"] == min(objectives) < max(objectives)
    nearest = best.centroids[best.assign(frames)]
    distances = ((best.transform(frames) - nearest) ** 2).sum(1)
    assert best.metadata["objective"] == pytest.approx(distances.mean(), rel=1e-4)


def test_no_frame_is_silently_dropped():
    """FAISS alone would keep 256 frames per cluster; the one centroid here is the mean of all 5,050."""
    frames = np.random.default_rng(3).normal(size=(5050, 4)).astype(np.float32)
    codebook = fit_codebook(frames, 1)
    np.testing.assert_allclose(codebook.centroids[0], frames.mean(0), atol=1e-5)
    assert codebook.metadata["num_frames_used"] == 5050


def test_standardized_and_spherical_codebooks_assign_in_their_own_space(blobs):
    frames = blobs[0] * np.array([1000, 1, 1, 1, 1, 1], np.float32) + 7
    standardized = fit_codebook(frames, 10, kmeans=KMeansSettings(standardize=True))
    space = standardized.transform(frames)
    np.testing.assert_allclose(space.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(space.std(0), 1, atol=1e-3)
    spherical = fit_codebook(blobs[0], 10, kmeans=KMeansSettings(spherical=True))
    np.testing.assert_allclose(np.linalg.norm(spherical.centroids, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(spherical.assign(blobs[0]), spherical.assign(blobs[0] * 100))


@pytest.mark.parametrize("options", [{}, {"standardize": True}, {"spherical": True, "standardize": True}])
def test_the_device_matmul_gives_the_labels_of_faiss(blobs, options):
    codebook = fit_codebook(blobs[0], 40, kmeans=KMeansSettings(**options))
    frames = torch.from_numpy(blobs[0])
    on_cpu = codebook.assign(frames)
    by_matmul = codebook.assign_by_matmul(frames)
    assert isinstance(on_cpu, torch.Tensor)
    assert (on_cpu == by_matmul).float().mean() > 0.999


def test_saved_codebooks_come_back_whole(codebook, tmp_path, blobs):
    fitted = fit_codebook(
        blobs[0], 5, kmeans=KMeansSettings(standardize=True, spherical=True), metadata={"feature": "x"}
    )
    for number, original in enumerate((codebook, fitted)):
        original.save(tmp_path / str(number))
        loaded = Codebook.load(tmp_path / str(number))
        assert loaded.hash == original.hash
        assert loaded.metadata == original.metadata
        np.testing.assert_array_equal(loaded.assign(blobs[0]), original.assign(blobs[0]))


def test_errors_name_the_mistake(codebook, blobs, tmp_path):
    frames = blobs[0]
    with pytest.raises(LabelError, match="3000 clusters asked of 2000 frames"):
        fit_codebook(frames, 3000)
    broken = frames.copy()
    broken[1234, 2] = np.nan
    with pytest.raises(LabelError, match="frame 1234 of 2000 holds NaN"):
        fit_codebook(broken, 10)
    with pytest.raises(LabelError, match="afkmc2"):
        fit_codebook(frames, 10, kmeans=KMeansSettings(init="best"))
    with pytest.raises(LabelError, match="blobs, d = 6"):
        codebook.assign(frames[:, :5])
    with pytest.raises(LabelError, match="no codebook"):
        Codebook.load(tmp_path)

    codebook.save(tmp_path)
    foreign = load_file(tmp_path / "codebook.safetensors")
    save_file({"centroids": foreign["centroids"] + 1}, tmp_path / "codebook.safetensors")
    with pytest.raises(LabelError, match="does not belong"):
        Codebook.load(tmp_path)
    metadata = json.loads((tmp_path / "codebook.json").read_text())
    (tmp_path / "codebook.json").write_text(json.dumps(metadata | {"format_version": 99}))
    with pytest.raises(LabelError, match="format_version"):
        Codebook.load(tmp_path)


def test_perplexity_counts_the_clusters_in_use():
    assert perplexity(np.array([5, 5, 5, 5])) == pytest.approx(4)
    assert perplexity(np.array([7, 0, 0])) == pytest.approx(1)
