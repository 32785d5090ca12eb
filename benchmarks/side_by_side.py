"""Shared by all benchmarks: time candidates in turn (A B A B …), medians with spread, ratios, a table and JSON.

On a shared machine a single time says little; the ratio of two candidates that take turns in one run says more.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from musicssl import files
from musicssl.tables import Table


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate over the repeats of a comparison."""

    name: str
    median_seconds: float
    min_seconds: float
    max_seconds: float
    ratio_to_reference: float
    """How many times as fast as the reference: the median of the pairwise ratios."""


def side_by_side(candidates: dict[str, Callable[[], object]], reference: str, repeats: int) -> list[Timing]:
    """Time each candidate `repeats` times, in turn, after a round that does not count.

    Args:
        candidates: name -> a call without arguments.
        reference: name of the candidate that all ratios refer to; its own ratio is 1.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_number in range(1 + repeats):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return [
        Timing(
            name=name,
            median_seconds=statistics.median(times),
            min_seconds=min(times),
            max_seconds=max(times),
            ratio_to_reference=statistics.median(r / t for r, t in zip(seconds[reference], times, strict=True)),
        )
        for name, times in seconds.items()
    ]


def machine() -> dict[str, str | int]:
    """The machine that the numbers were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; floats have three significant digits."""
    cells = [[f"{cell:.3g}" if isinstance(cell, float) else cell for cell in row] for row in rows]
    return Table(header, cells).markdown()


def rows_table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str] | Sequence[str] = ()) -> str:
    """A Markdown table of some values of each row.

    Args:
        columns: keys of the rows, or key -> title; default: all keys of the first row.
    """
    keys = list(columns or rows[0])
    titles = columns.values() if isinstance(columns, Mapping) else keys
    return table(list(titles), [[row.get(key, "-") for key in keys] for row in rows])


def report(
    path: Path, name: str, rows: Sequence[Mapping[str, object]], columns: Mapping[str, str] | Sequence[str] = ()
) -> None:
    """Print the rows as `rows_table` and write all their values as `write_json`."""
    print(rows_table(rows, columns))
    write_json(path, name, rows)


def write_json(path: Path, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the measured rows together with the machine they were measured on."""
    files.write_json(path, {"benchmark": name, "machine": machine(), "rows": rows})
    print(f"written to {path}")


def benchmark_parser(description: str, name: str) -> argparse.ArgumentParser:
    """The flags of every benchmark: `--quick`, `--output`, `--threads`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="use the smallest sizes, for a smoke test only")
    parser.add_argument("--output", type=Path, default=Path(f"runs/benchmarks/{name}.json"), help="JSON file to write")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="number of threads of every candidate")
    return parser
