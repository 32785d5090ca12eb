"""Where the time of a training step goes, by part, and the lower limit set by the number of operations.

    python benchmarks/profile_parts.py [--model NAME] [--size base] [--precision fp32] [--clips 4] [--threads N]
                                       [--quick] [--output FILE]

One step under torch's profiler, after one warm-up step, of stock transformers modules (`hf`), of our models (`stock`)
and of our models with the CPU kernels (`ours`). Seconds are the self time of the kernels. The number of operations,
divided by the measured rate of a large matrix product, gives the least time that the products can take.
"""

from collections import Counter

import torch
from side_by_side import benchmark_parser, report
from torch.profiler import ProfilerActivity, profile
from training_step import DTYPES, MASK, SIZES, build_step, our_config

from musicssl.pretraining.planning.cost import crop_cost, measure_peak_flops

CANDIDATES = ("hf", "stock", "ours")
# A kernel belongs to the first part that has a word of the kernel's name.
PARTS = {
    "optimizer and average": ("adam", "lerp", "foreach", "linalg_vector_norm"),
    "dropout": ("bernoulli", "random_", "dropout"),
    "matrix products, convolutions": ("mm", "convolution", "scaled_dot_product", "matmul"),
    "activation": ("gelu",),
    "softmax": ("softmax", "isneginf", "aten::all"),
    "norms": ("layer_norm", "group_norm", "batch_norm", "instance_norm", "weight_norm"),
    "copies and casts": ("copy_", "cat", "clone", "fill_", "zero_", "empty", "index"),
}
REST = "elementwise and the rest"  # in hf: the cosines of gathered embeddings


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
    parser.add_argument("--model", default="musichubert", choices=list(MASK), help="model to measure")
    parser.add_argument("--size", default="base", choices=list(SIZES), help="size of the model")
    parser.add_argument("--precision", default="fp32", choices=list(DTYPES), help="number format")
    parser.add_argument("--clips", type=int, default=4, help="number of 5 s clips")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = 5.0
    if arguments.quick:
        arguments.size, arguments.clips, seconds = "tiny", 1, 1.0
    peak = measure_peak_flops(torch.device("cpu"), DTYPES[arguments.precision])
    what = (arguments.model, arguments.size, arguments.precision, seconds, arguments.clips)
    parts = {candidate: seconds_by_part(build_step(candidate, *what)) for candidate in CANDIDATES}
    crop = crop_cost(our_config(arguments.model, arguments.size), round(seconds * 16000))
    rows = []
    for part in [*PARTS, REST]:
        times = {candidate: parts[candidate][part] for candidate in CANDIDATES}
        rows.append({"part": part, **times, "share_of_ours": times["ours"] / parts["ours"].total()})
    totals = {candidate: parts[candidate].total() for candidate in CANDIDATES}
    rows.append({"part": "all", **totals, "share_of_ours": 1.0})
    least = arguments.clips * crop.training_flops / peak
    rows.append({
        "part": "inevitable", **dict.fromkeys(CANDIDATES, least), "share_of_ours": least / totals["ours"]
    })  # fmt: skip
    print(f"{arguments.model} {arguments.size}, {arguments.precision}: {arguments.clips} x {seconds:g} s, in seconds")
    report(arguments.output, "profile_parts", rows)


if __name__ == "__main__":
    main()
