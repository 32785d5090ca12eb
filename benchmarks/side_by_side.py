"""What every benchmark shares: candidates timed in turn (A B A B …), medians with spread, ratios, a table and JSON.

A single time says little on a shared machine; a ratio of two things measured in one run, interleaved, does.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one candidate over the repeats of one comparison."""

    name: str
    median_seconds: float
    min_seconds: float
    max_seconds: float
    ratio_to_reference: float
    """How many times faster than the reference, as the median of the pairwise ratios."""


def side_by_side(
    candidates: dict[str, Callable[[], object]], reference: str, repeats: int = 5, warmup: int = 1
) -> list[Timing]:
    """Time each candidate `repeats` times, in turn, after `warmup` uncounted rounds.

    Args:
        candidates: name -> a call without arguments.
        reference: the name every ratio is taken against; its own ratio is 1.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_number in range(warmup + repeats):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if round_number >= warmup:
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
    """What the numbers were measured on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; floats are shown with three significant digits."""
    text = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *text]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, text)])


def write_json(path: Path, name: str, rows: Sequence[object]) -> None:
    """Write the measured rows (dataclasses or dicts) beside the machine they were measured on."""
    plain = [row if isinstance(row, dict) else asdict(row) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"benchmark": name, "machine": machine(), "rows": plain}, indent=2) + "\n")


def benchmark_parser(description: str, name: str) -> argparse.ArgumentParser:
    """The flags every benchmark has: `--quick`, `--out`, `--threads`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="smallest sizes, for a smoke run only")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks") / f"{name}.json", help="the JSON file")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads for every candidate")
    return parser
