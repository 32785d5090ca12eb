"""Codebooks: our k-means beside scikit-learn's MiniBatchKMeans with the reference's settings, on music frames.

    python benchmarks/kmeans.py [--music FOLDER] [--quick] [--threads N] [--output FILE]

200,000 frames x 39 values (Kaldi MFCC with differences, 100 Hz) and x 768 (output of a two-layer encoder of HuBERT
base's width with random weights and 64-channel convolutions, 50 Hz), K = 100, 500, 2000. Both methods cluster the same
frames in turn, with the same number of threads; the objective is the mean squared distance of all frames to their
nearest centroid. The other tables give the frames assigned per second, and the memory of a fit beside its budget.
"""

import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import torch
from side_by_side import benchmark_parser, rows_table, write_json
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits
from transformers import HubertConfig, HubertModel

from musichubert.acoustic_features import feature_recipe
from musicssl.audio.clips import iterate_clips
from musicssl.audio.sources import parse_sources
from musicssl.demo.collection import CollectionSettings, write_pretrain
from musicssl.files import whole_file
from musicssl.labels.codebook import Codebook, fit_codebook
from musicssl.labels.sampling import FrameSample, frame_keys, sample_capacity

CHUNK = 10 * 16000  # samples per forward pass of the encoder
TRACK_SECONDS = 20


def reference_kmeans(frames: np.ndarray, num_clusters: int) -> np.ndarray:
    """fairseq's learn_kmeans.py."""
    fitted = MiniBatchKMeans(
        num_clusters, init="k-means++", max_iter=100, batch_size=10000, tol=0.0, max_no_improvement=100, n_init=20,
        reassignment_ratio=0.0, compute_labels=False, random_state=0,
    ).fit(frames)  # fmt: skip
    return fitted.cluster_centers_.astype(np.float32)


def objective(frames: np.ndarray, centroids: np.ndarray) -> float:
    index = faiss.IndexFlatL2(frames.shape[1])
    index.add(np.ascontiguousarray(centroids))
    return float(index.search(frames, 1)[0].mean(dtype=np.float64))


def timed(call, *arguments):
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def synthetic_music(folder: Path, count: int) -> Path:
    """A folder of tracks, enough for `count` frames at 50 Hz; kept for the next run."""
    folder = folder / f"made-{count}"
    if not folder.is_dir():
        settings = CollectionSettings(clips=count // 50 // TRACK_SECONDS + 5, clip_seconds=TRACK_SECONDS)
        with whole_file(folder, shared=True) as partial:
            write_pretrain(partial, settings)
    return folder


def music_frames(music: Path, dimension: int, count: int, cache: Path) -> np.ndarray:
    """`count` frames (count, dimension) spread over the music; kept for the next run, because encoders are slow."""
    path = cache / f"kmeans-frames-{music.name}-{dimension}-{count}.npy"
    if path.is_file():
        return np.load(path)
    torch.manual_seed(0)
    encoder = HubertModel(HubertConfig(conv_dim=(64,) * 7, num_hidden_layers=2, layerdrop=0.0)).eval()
    mfcc39 = feature_recipe("mfcc39")
    sample = FrameSample(count, dimension)
    with torch.inference_mode():
        for clip_id, waveform in iterate_clips(parse_sources([str(music)])):
            chunks = [chunk for chunk in torch.from_numpy(waveform)[None].split(CHUNK, dim=1) if chunk.shape[1] >= 400]
            if dimension == 39:
                frames = [mfcc39.compute(chunk)[0] for chunk in chunks]
            else:
                frames = [encoder(chunk).last_hidden_state[0] for chunk in chunks]
            if frames:
                frames = torch.cat(frames).numpy()
                sample.add(frames, frame_keys(0, clip_id, len(frames)))
    if sample.filled < count:
        print(f"the music has only {sample.filled} of {count} frames x {dimension}")
    frames = sample.in_order()[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, frames)
    return frames


def compare(frames: np.ndarray, num_clusters: int) -> dict:
    reference_seconds, reference = timed(reference_kmeans, frames, num_clusters)
    our_seconds, ours = timed(fit_codebook, frames, num_clusters)
    return {
        "frames": f"{len(frames)} x {frames.shape[1]}",
        "clusters": num_clusters,
        "sklearn_seconds": reference_seconds,
        "our_seconds": our_seconds,
        "times_faster": reference_seconds / our_seconds,
        "objective_ratio": objective(frames, ours.centroids) / objective(frames, reference),
    }


def assignment(frames: np.ndarray, num_clusters: int) -> dict:
    centroids = np.ascontiguousarray(frames[:num_clusters])
    codebook = Codebook(centroids)
    on_device = torch.from_numpy(frames)
    by_sklearn = MiniBatchKMeans(num_clusters, init=centroids, n_init=1, max_iter=1).fit(frames[: 10 * num_clusters])
    seconds = {
        "sklearn": timed(by_sklearn.predict, frames)[0],
        "faiss": timed(codebook.assign, frames)[0],
        "matmul": timed(codebook.assign_by_matmul, on_device)[0],
    }
    rates = {f"{name}_frames_per_second": len(frames) / spent for name, spent in seconds.items()}
    return {"frames": f"{len(frames)} x {frames.shape[1]}", "clusters": num_clusters, **rates}


def memory_of_a_fit(budget_mb: int, num_frames: int) -> tuple[float, int, float]:
    """MiB of `num_frames` x 768 streamed frames, how many of them were kept, and MiB by which the peak memory grew."""
    generator = np.random.default_rng(0)
    block = generator.standard_normal((10_000, 768), dtype=np.float32)
    fit_codebook(block[:2000], 10)  # loads libraries and starts threads
    before = peak_mb()
    sample = FrameSample(sample_capacity(768, 100, num_frames, budget_mb), 768)
    for number in range(num_frames // len(block)):
        sample.add(block + generator.standard_normal(768, dtype=np.float32), frame_keys(0, str(number), len(block)))
    fit_codebook(sample.in_order()[0], 100)
    return sample.seen * 768 * 4 / 2**20, sample.filled, peak_mb() - before


def peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux `getrusage` includes the peak of the parent process
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def memory(budget_mb: int, num_frames: int) -> dict:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        seen_mb, kept, grown_mb = pool.submit(memory_of_a_fit, budget_mb, num_frames).result()
    return {"budget_mb": budget_mb, "frames_seen_mb": seen_mb, "frames_kept": kept, "peak_growth_mb": grown_mb}


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "kmeans")
    parser.add_argument("--music", type=Path, help="folder of music; default: synthetic music")
    options = parser.parse_args()
    count = 20_000 if options.quick else 200_000
    sizes = (100,) if options.quick else (100, 500, 2000)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)

    music = options.music or synthetic_music(options.output.parent, count)
    fits, assignments = [], []
    with threadpool_limits(options.threads):
        for dimension in (39, 768):
            frames = music_frames(music, dimension, count, options.output.parent)
            for num_clusters in sizes:
                fits.append(compare(frames, num_clusters))
                assignments.append(assignment(frames, num_clusters))
                print(rows_table(fits[-1:]), flush=True)
    budgets = [memory(budget_mb, 40_000 if options.quick else 400_000) for budget_mb in (64, 256)]
    for rows in (fits, assignments, budgets):
        print(f"\n{rows_table(rows)}")
    write_json(options.output, "kmeans", [*fits, *assignments, *budgets])


if __name__ == "__main__":
    main()
