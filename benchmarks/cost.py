"""How the cost of training grows with crop length, batch and K, compared with the number of operations.

    python benchmarks/cost.py [--model NAME] [--layers 12] [--repeats 3] [--threads N] [--quick] [--output FILE]

Forward and backward passes of one network of base width take turns over all sizes. The line `seconds = fixed +
operations / rate` is fitted to crops and batches by least squares of the relative error. `measured_to_fitted` near 1
at every size means that time grows like the number of operations. K is varied separately; its head counts 2 x 3
operations per multiply-add of masked frames with label embeddings.
"""

from collections.abc import Callable

import numpy as np
import torch
from side_by_side import benchmark_parser, rows_table, side_by_side, write_json
from training_step import MASK, inputs, our_config, our_model

from musicssl.pretraining.frames import frames_per_crop
from musicssl.pretraining.model.cpu_kernels import keep_freed_memory, use_cpu_kernels
from musicssl.pretraining.planning.cost import crop_cost

CROPS = ((1.0, 1), (2.5, 1), (5.0, 1), (10.0, 1), (15.0, 1), (2.5, 2), (2.5, 4), (5.0, 2))
NUM_CLUSTERS = (100, 500, 2000, 8000)


def build_network(model: str, num_clusters: int = 500, **settings: int) -> torch.nn.Module:
    if model == "music2vec":
        own = {"average_top_k_layers": min(8, settings.get("num_hidden_layers", 12))}
    else:
        own = {"num_clusters": num_clusters}
    network = our_model(our_config(model, "base", **own, **settings))
    use_cpu_kernels(network)
    return network.train()


def build_pass(network: torch.nn.Module, seconds: float, clips: int) -> Callable[[], None]:
    """Forward and backward pass over `clips` crops."""
    batch = inputs(network.config, seconds, clips)

    def run() -> None:
        network(**batch).loss.backward()
        network.zero_grad()

    return run


def fit_line(operations: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """(fixed seconds, seconds per operation), by least squares of the relative error."""
    design = np.stack([1 / seconds, operations / seconds], axis=1)
    (fixed, slope), *_ = np.linalg.lstsq(design, np.ones(len(seconds)), rcond=None)
    return float(fixed), float(slope)


def measure(
    model: str, sizes: tuple[tuple[float, int], ...], repeats: int, **settings: int
) -> tuple[list[dict[str, object]], float, float]:
    """One row per size, and the fitted line (fixed seconds, seconds per operation)."""
    network = build_network(model, **settings)
    passes = {f"{clips} x {seconds:g} s": build_pass(network, seconds, clips) for seconds, clips in sizes}
    timings = side_by_side(passes, next(iter(passes)), repeats)
    operations = np.array([clips * crop_cost(network.config, round(s * 16000)).training_flops for s, clips in sizes])
    measured = np.array([timing.median_seconds for timing in timings])
    fixed, slope = fit_line(operations, measured)
    rows = [
        {"model": model, "size": timing.name, "gflop": count / 1e9, "seconds": timing.median_seconds,
         "min_seconds": timing.min_seconds, "max_seconds": timing.max_seconds,
         "measured_to_fitted": timing.median_seconds / (fixed + slope * count)}
        for timing, count in zip(timings, operations, strict=True)
    ]  # fmt: skip
    return rows, fixed, slope


def measure_clusters(num_clusters: tuple[int, ...], repeats: int, **settings: int) -> list[dict[str, object]]:
    """One row of musicHuBERT's pass per K, relative to the smallest K."""
    passes, gflop = {}, []
    for count in num_clusters:
        network = build_network("musichubert", count, **settings)
        passes[f"K {count}"] = build_pass(network, 2.5, 1)
        config, frames = network.config, frames_per_crop(network.config, 40000)[-1]
        head = 6 * 0.5 * frames * config.projection_dim * (config.hidden_size + count)
        gflop.append((crop_cost(config, 40000).training_flops + head) / 1e9)
    timings = side_by_side(passes, next(iter(passes)), repeats)
    return [
        {"model": "musichubert", "size": timing.name, "gflop": count, "seconds": timing.median_seconds,
         "min_seconds": timing.min_seconds, "max_seconds": timing.max_seconds,
         "times_first": timings[0].median_seconds / timing.median_seconds}
        for timing, count in zip(timings, gflop, strict=True)
    ]  # fmt: skip


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "cost")
    parser.add_argument("--model", default="musichubert", choices=list(MASK), help="model to measure")
    parser.add_argument("--layers", type=int, default=12, help="number of transformer layers")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each candidate")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    sizes, clusters, settings = CROPS, NUM_CLUSTERS, {"num_hidden_layers": arguments.layers}
    if arguments.quick:
        sizes, clusters, arguments.repeats = CROPS[:2], NUM_CLUSTERS[:2], 1
        settings = {"num_hidden_layers": 1, "hidden_size": 192, "intermediate_size": 384, "conv_dim": [32] * 7}
    rows, fixed, slope = measure(arguments.model, sizes, arguments.repeats, **settings)
    print(rows_table(rows))
    print(f"fit: {1000 * fixed:.0f} ms + operations / {1e-9 / slope:.0f} GFLOP/s\n")
    clusters_rows = measure_clusters(clusters, arguments.repeats, **settings)
    print(rows_table(clusters_rows))
    write_json(arguments.output, "cost", [*rows, *clusters_rows, {"fixed_seconds": fixed, "flops": 1 / slope}])


if __name__ == "__main__":
    main()
