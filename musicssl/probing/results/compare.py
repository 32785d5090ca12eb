"""Compare finished results: paired bootstrap over the test tracks that both models were tested on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from musicssl.probing.results.names import short
from musicssl.probing.results.results import load_results
from musicssl.tables import Table

ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """Score of `first` minus that of `second` on one task.

    Attributes:
        mean: of the scores over seeds. ci95: of the paired bootstrap.
        p_value: two-sided, of "no difference", from the bootstrap; adjusted (Holm) over all comparisons made.
    """

    task: str
    metric: str
    first: str
    second: str
    mean: float
    ci95: tuple[float, float]
    p_value: float


def compare(folders: Sequence[Path]) -> tuple[list[Difference], list[str]]:
    """Every pair of models on every task both finished, by the task's primary metric.

    Returns:
        The differences, and notes about tasks that cannot be paired (other test tracks).
    """
    results = [(load_results(folder), folder) for folder in folders]
    differences, notes = [], []
    for (first, first_folder), (second, second_folder) in combinations(results, 2):
        for task in (name for name in first["tasks"] if name in second["tasks"]):
            metric = first["tasks"][task]["primary_metric"]
            a, b = (np.load(folder / "predictions" / f"{task}.npz") for folder in (first_folder, second_folder))
            pairable = np.array_equal(a["track_ids"], b["track_ids"])
            a, b = a[f"resampled/{metric}"], b[f"resampled/{metric}"]
            if not pairable or len(a) != len(b):
                notes.append(
                    f"{task}: {first['model']} and {second['model']} were tested on different tracks or resamples"
                )
                continue
            means = [result["tasks"][task]["metrics"][metric]["mean"] for result in (first, second)]
            differences.append(_difference(task, metric, first["model"], second["model"], means[0] - means[1], a, b))
    return _holm(differences), notes


def _difference(
    task: str, metric: str, first: str, second: str, mean: float, a: np.ndarray, b: np.ndarray
) -> Difference:
    """a, b: (R, seeds) scores of the same resamples of the test tracks; seeds are resampled too."""
    generator = np.random.default_rng(0)
    means = []
    for scores in (a, b):
        seeds = generator.integers(scores.shape[1], size=scores.shape)
        means.append(np.take_along_axis(scores, seeds, axis=1).mean(axis=1))
    gap = means[0] - means[1]
    gap = gap[np.isfinite(gap)]
    # One is added to both counts: a bootstrap of R resamples cannot claim less than 1 / (R + 1).
    below, above = (np.sum(gap <= 0) + 1) / (len(gap) + 1), (np.sum(gap >= 0) + 1) / (len(gap) + 1)
    low, high = np.percentile(gap, [2.5, 97.5])
    return Difference(
        task, metric, first, second, mean, (float(low), float(high)), float(min(1.0, 2 * min(below, above)))
    )


def _holm(differences: Sequence[Difference]) -> list[Difference]:
    """Holm's step-down adjustment of the p-values."""
    adjusted, running = {}, 0.0
    for rank, each in enumerate(sorted(differences, key=lambda each: each.p_value)):
        running = max(running, min(1.0, each.p_value * (len(differences) - rank)))
        adjusted[id(each)] = running
    return [replace(each, p_value=adjusted[id(each)]) for each in differences]


def difference_table(differences: Sequence[Difference]) -> Table:
    """Differences in points (100 times the score), starred where significant at 5 %."""
    rows = [
        [
            each.task,
            short(each.metric),
            each.first,
            each.second,
            f"{100 * each.mean:+.1f}",
            f"{100 * each.ci95[0]:+.1f} … {100 * each.ci95[1]:+.1f}",
            f"{each.p_value:.3f}{' *' if each.p_value < ALPHA else ''}",
        ]
        for each in differences
    ]
    return Table(["task", "metric", "first", "second", "first - second", "95 %", "p (Holm)"], rows)
