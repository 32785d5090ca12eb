"""Where the time of a training step goes, by part, and what share of it the count of operations makes inevitable.

    python benchmarks/profile_parts.py [--model NAME] [--size base] [--precision fp32] [--clips 4] [--threads N]
                                       [--quick] [--out FILE]

One step under torch's profiler, after one of warm-up, of stock transformers modules (`hf`), of our models (`stock`)
and with the kernels for a CPU (`ours`). Seconds are those of the kernels themselves, without what they call. The
operations over the measured rate of a large matrix product give the least time that products can take.
"""

from collections import Counter

import torch
from side_by_side import benchmark_parser, table, write_json
from torch.profiler import ProfilerActivity, profile
from training_step import DTYPES, MASK, SIZES, build_step, our_config

from musicssl.pretraining.planning.cost import crop_cost, measure_peak_flops

CANDIDATES = ("hf", "stock", "ours")
# The first part with a word in a kernel's name takes it.
PARTS = {
    "optimiser and average": ("adam", "lerp", "foreach", "linalg_vector_norm"),
    "dropout": ("bernoulli", "random_", "dropout"),
    "matrix products, convolutions": ("mm", "convolution", "scaled_dot_product", "matmul"),
    "activation": ("gelu",),
    "softmax": ("softmax", "isneginf", "aten::all"),
    "norms": ("layer_norm", "group_norm", "batch_norm", "instance_norm", "weight_norm"),
    "copies and casts": ("copy_", "cat", "clone", "fill_", "zero_", "empty", "index"),
}
REST = "element by element, and the rest"  # of hf: the cosines of gathered embeddings


def part_of(kernel: str) -> str:
    return next((part for part, words in PARTS.items() if any(word in kernel for word in words)), REST)


def seconds_by_part(step) -> Counter[str]:
    """Self time of one profiled step by part, in seconds."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    seconds: Counter[str] = Counter()
    for event in profiler.key_averages():
        seconds[part_of(event.key.lower())] += event.self_cpu_time_total / 1e6
    return seconds


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "profile_parts")
    parser.add_argument("--model", default="musichubert", choices=list(MASK))
    parser.add_argument("--size", default="base", choices=list(SIZES))
    parser.add_argument("--precision", default="fp32", choices=list(DTYPES))
    parser.add_argument("--clips", type=int, default=4, help="clips of 5 s")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = 5.0
    if arguments.quick:
        arguments.size, arguments.clips, seconds = "tiny", 1, 1.0
    peak = measure_peak_flops(torch.device("cpu"), DTYPES[arguments.precision])
    parts = {
        candidate: seconds_by_part(
            build_step(candidate, arguments.model, arguments.size, arguments.precision, seconds, arguments.clips)
        )
        for candidate in CANDIDATES
    }
    flops = (
        arguments.clips * crop_cost(our_config(arguments.model, arguments.size), round(seconds * 16000)).training_flops
    )
    rows = []
    for part in [*PARTS, REST]:
        times = {candidate: parts[candidate][part] for candidate in CANDIDATES}
        rows.append({"part": part, **times, "share_of_ours": times["ours"] / parts["ours"].total()})
    totals = {candidate: parts[candidate].total() for candidate in CANDIDATES}
    rows.append({"part": "all", **totals, "share_of_ours": 1.0})
    least = flops / peak
    rows.append({
        "part": "inevitable", **dict.fromkeys(CANDIDATES, least), "share_of_ours": least / totals["ours"]
    })  # fmt: skip
    print(f"{arguments.model} {arguments.size}, {arguments.precision}: {arguments.clips} x {seconds:g} s, in seconds")
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    write_json(arguments.out, "profile_parts", rows)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
