"""The speed of the options that save arithmetic: a training step with each option, beside one without.

    python benchmarks/options.py [--sizes tiny base] [--clips 4] [--repeats 3] [--threads N] [--quick] [--output FILE]

`masks_per_clip` draws several masks of a crop; its steps are longer but hold more predictions, so what counts is
`masked frames a second`. `front_end_features` has spectra in the place of the convolutions. Quality is measured by the
study (docs/study.md).
"""

from collections.abc import Callable
from dataclasses import asdict

from in_process import InProcess
from side_by_side import benchmark_parser, report, side_by_side
from training_step import MASK, SIZES, build_step, inputs, our_config

SECONDS = 5.0
# Option -> (model, settings of its configuration, masks of each crop)
OPTIONS = {
    "music2vec": ("music2vec", {}, 1),
    "music2vec, masks_per_clip 2": ("music2vec", {}, 2),
    "music2vec, masks_per_clip 4": ("music2vec", {}, 4),
    "musichubert": ("musichubert", {}, 1),
    "musichubert, front_end_features logmel229": ("musichubert", {"front_end_features": ["logmel229"]}, 1),
}


def build_option(option: str, size: str, clips: int) -> Callable[[], object]:
    """One optimizer update with an option, as a call that can be repeated."""
    model, settings, masks_per_clip = OPTIONS[option]
    return build_step("ours", model, size, "fp32", SECONDS, clips, masks_per_clip=masks_per_clip, **settings)


def masked_frames(option: str, size: str, clips: int) -> int:
    """Number of predictions in a step."""
    model, _, masks_per_clip = OPTIONS[option]
    return int(inputs(our_config(model, size), SECONDS, clips, masks_per_clip)["mask_time_indices"].sum())


def compare(model: str, size: str, clips: int, threads: int, repeats: int) -> list[dict[str, object]]:
    """One row per option of a model, the plain one first."""
    options = [option for option, (of_model, _, _) in OPTIONS.items() if of_model == model]
    processes = {option: InProcess(build_option, option, size, clips, threads=threads) for option in options}
    timings = side_by_side(processes, model, repeats)
    for process in processes.values():
        process.close()
    rows = []
    for timing in timings:
        masked = masked_frames(timing.name, size, clips)
        rows.append({
            "option": timing.name, "size": size, **asdict(timing),
            "steps": timing.ratio_to_reference, "masked_frames_per_second": masked / timing.median_seconds,
        })  # fmt: skip
    for row in rows:
        row["masked_frames"] = row["masked_frames_per_second"] / rows[0]["masked_frames_per_second"]
    return rows


COLUMNS = {
    "option": "option", "size": "size", "median_seconds": "s/step", "min_seconds": "min", "max_seconds": "max",
    "steps": "steps a second, times", "masked_frames": "masked frames a second, times",
}  # fmt: skip


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "options")
    parser.add_argument("--sizes", nargs="+", default=["tiny", "base"], choices=list(SIZES), help="sizes of the model")
    parser.add_argument("--clips", type=int, default=4, help="number of 5 s crops per step")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each candidate")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.clips, arguments.repeats = ["tiny"], 2, 1
    rows = []
    for size in arguments.sizes:
        for model in MASK:
            rows += compare(model, size, arguments.clips, arguments.threads, arguments.repeats)
    report(arguments.output, "options", rows, COLUMNS)


if __name__ == "__main__":
    main()
