"""Two processes of one thread beside one process of two threads, on the same audio per update.

    python benchmarks/scaling.py [--model NAME] [--size base] [--clips 4] [--repeats 3] [--quick] [--out FILE]

The processes share an update by DistributedDataParallel over gloo, as `accelerate launch --num_processes 2` does;
each has half the clips. `efficiency` is the throughput relative to one process with all the threads.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch.distributed
from in_process import InProcess
from side_by_side import benchmark_parser, side_by_side, table, write_json
from torch.nn.parallel import DistributedDataParallel
from training_step import MASK, SIZES, build_step


def build_rank(rank: int, processes: int, meeting: str, *what: object) -> Callable[[], object]:
    """The step of one process among several that meet at the file `meeting`."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)

    def data_parallel(network: torch.nn.Module) -> torch.nn.Module:
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    return build_step(*what, wrap=data_parallel)


class Together:
    """Processes that take their step at the same time."""

    def __init__(self, ranks: list[InProcess]):
        self.ranks = ranks

    def __call__(self) -> None:
        for rank in self.ranks:
            rank.start()
        for rank in self.ranks:
            rank.wait()


def compare(
    model: str, size: str, precision: str, seconds: float, clips: int, processes: int, repeats: int
) -> list[dict[str, object]]:
    """A row for one process with `processes` threads, and one for that many processes with a thread each."""
    with tempfile.TemporaryDirectory() as directory:
        meeting = str(Path(directory) / "meeting")
        what = ("ours", model, size, precision, seconds)
        alone = InProcess(build_step, *what, clips, threads=processes)
        ranks = [
            InProcess(build_rank, rank, processes, meeting, *what, clips // processes, threads=1)
            for rank in range(processes)
        ]
        names = f"1 process x {processes} threads", f"{processes} processes x 1 thread"
        timings = side_by_side({names[0]: alone, names[1]: Together(ranks)}, names[0], repeats)
        for process in (alone, *ranks):
            process.close()
    return [
        {"model": model, "size": size, "precision": precision, "crop_seconds": seconds, "clips": clips,
         **asdict(timing), "efficiency": timing.ratio_to_reference} for timing in timings
    ]  # fmt: skip


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "scaling")
    parser.add_argument("--models", nargs="+", default=list(MASK), choices=list(MASK))
    parser.add_argument("--size", default="base", choices=list(SIZES))
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--clips", type=int, default=4, help="5-s clips per update, over all processes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
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
    print(table(columns, [[row[column] for column in columns] for row in rows]))
    write_json(arguments.out, "scaling", rows)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
