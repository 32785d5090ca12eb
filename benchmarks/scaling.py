"""Two processes of one thread beside one process of two threads, on the same audio per update.

    python benchmarks/scaling.py [--models NAME ...] [--size base] [--clips 4] [--repeats 3] [--quick] [--output FILE]

The processes share an update through DistributedDataParallel over gloo, as with `accelerate launch --num_processes 2`;
each takes half the clips. `efficiency` is the throughput relative to one process with all threads.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch.distributed
from in_process import InProcess
from side_by_side import benchmark_parser, report, side_by_side
from torch.nn.parallel import DistributedDataParallel
from training_step import MASK, SIZES, build_step


def build_rank(rank: int, processes: int, meeting: str, *what: object) -> Callable[[], object]:
    """The step of one of several processes, which find each other through the file `meeting`."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)

    def data_parallel(network: torch.nn.Module) -> torch.nn.Module:
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    return build_step(*what, wrap=data_parallel)


def compare(
    model: str, size: str, precision: str, seconds: float, clips: int, processes: int, repeats: int
) -> list[dict[str, object]]:
    """One row for one process with `processes` threads, and one for as many processes with one thread each."""
    with tempfile.TemporaryDirectory() as directory:
        meeting = str(Path(directory) / "meeting")
        what = ("ours", model, size, precision, seconds)
        alone = InProcess(build_step, *what, clips, threads=processes)
        ranks = [
            InProcess(build_rank, rank, processes, meeting, *what, clips // processes, threads=1)
            for rank in range(processes)
        ]

        def together() -> None:
            for rank in ranks:
                rank.start()
            for rank in ranks:
                rank.wait()

        names = f"1 process x {processes} threads", f"{processes} processes x 1 thread"
        timings = side_by_side({names[0]: alone, names[1]: together}, names[0], repeats)
        for process in (alone, *ranks):
            process.close()
    return [
        {"model": model, "size": size, "precision": precision, "crop_seconds": seconds, "clips": clips,
         **asdict(timing), "efficiency": timing.ratio_to_reference} for timing in timings
    ]  # fmt: skip


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "scaling")
    parser.add_argument("--models", nargs="+", default=list(MASK), choices=list(MASK), help="models to measure")
    parser.add_argument("--size", default="base", choices=list(SIZES), help="size of the model")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"], help="number format")
    parser.add_argument("--clips", type=int, default=4, help="number of 5 s clips per update, over all processes")
    parser.add_argument("--processes", type=int, default=2, help="number of processes")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each candidate")
    arguments = parser.parse_args()
    seconds = 5.0
    if arguments.quick:
        arguments.models, arguments.size, arguments.clips, arguments.repeats = ["musichubert"], "tiny", 2, 1
        seconds = 1.0
    rows = []
    for model in arguments.models:
        what = model, arguments.size, arguments.precision, seconds
        rows += compare(*what, arguments.clips, arguments.processes, arguments.repeats)
    columns = ("model", "size", "precision", "name", "median_seconds", "min_seconds", "max_seconds", "efficiency")
    report(arguments.output, "scaling", rows, columns)


if __name__ == "__main__":
    main()
