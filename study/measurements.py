"""Read the results of a study and compute their intervals.

The interval of a score covers the test clips, the seeds of the heads and, where there are several, the pre-training
seeds. All models share the bootstrap resamples of the clips, so that two arms are compared on the same clips. A second
interval covers the pre-training seeds alone, on the test clips as they are.

Shapes: P pre-training seeds, R bootstrap resamples, H head seeds.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import stats

from musicssl.errors import UserError
from musicssl.probing.results.results import load_results
from study.index import read_index
from study.plan import ARMS, CURVES

SEEDS_FOR_INTERVAL = 3  # two give a t-interval thirteen standard errors wide


@dataclass(frozen=True)
class Measured:
    """The scores of one arm, or of one checkpoint of it, over all its seeds.

    Attributes:
        folders: one folder of probe results per pre-training seed.
        seeds: the pre-training seeds.
        hours: training audio up to here.
    """

    arm: str
    folders: tuple[Path, ...]
    seeds: tuple[int, ...]
    hours: float = 0.0

    @cached_property
    def results(self) -> list[dict]:
        return [load_results(folder) for folder in self.folders]

    @property
    def tasks(self) -> list[str]:
        """The tasks that every seed has."""
        first, *others = [result["tasks"] for result in self.results]
        return [task for task in first if all(task in other for other in others)]

    def metric(self, task: str) -> str:
        return self.results[0]["tasks"][task]["primary_metric"]

    def score(self, task: str) -> float:
        """Mean of the primary metric over pre-training seeds."""
        return float(self.seed_averages([task]).mean())

    def average(self, tasks: list[str]) -> float:
        return float(np.mean([self.score(task) for task in tasks]))

    def seed_averages(self, tasks: list[str]) -> np.ndarray:
        """(P,) averages over `tasks`, one per pre-training seed."""
        scores = [
            [result["tasks"][task]["metrics"][self.metric(task)]["mean"] for task in tasks] for result in self.results
        ]
        return np.mean(scores, axis=1)

    def over_seeds(self, tasks: list[str]) -> tuple[float, float] | None:
        """95 % t-interval of the average over pre-training seeds, or None with fewer than three seeds."""
        averages = self.seed_averages(tasks)
        if len(averages) < SEEDS_FOR_INTERVAL:
            return None
        reach = stats.t.ppf(0.975, len(averages) - 1) * averages.std(ddof=1) / np.sqrt(len(averages))
        return float(averages.mean() - reach), float(averages.mean() + reach)

    def resampled(self, tasks: list[str]) -> np.ndarray:
        """(R,) averages over `tasks`, each from resampled test clips and resampled seeds."""
        return np.mean([self._resampled(task) for task in tasks], axis=0)

    def _resampled(self, task: str) -> np.ndarray:
        name = f"resampled/{self.metric(task)}"
        values = np.stack([np.load(folder / "predictions" / f"{task}.npz")[name] for folder in self.folders])
        seeds, resamples, heads = values.shape  # (P, R, H)
        generator = np.random.default_rng(0)
        seed = generator.integers(seeds, size=(resamples, seeds, 1))
        head = generator.integers(heads, size=(resamples, seeds, heads))
        return values[seed, np.arange(resamples)[:, None, None], head].mean(axis=(1, 2))


@dataclass(frozen=True)
class Study:
    """All measurements: the finished arms in the order of the plan, and their intermediate checkpoints.

    Attributes:
        groups: the tasks, grouped by the origin of their audio.
        missing: arms of the study without scores.
    """

    tasks: list[str]
    groups: dict[str, list[str]]
    arms: dict[str, Measured]
    updates: dict[str, int]
    missing: list[str]
    curves: dict[str, list[Measured]]

    @property
    def parts(self) -> dict[str, list[str]]:
        """The groups when there are several; a single group is all tasks."""
        return self.groups if len(self.groups) > 1 else {}


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of resampled values."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def difference(first: Measured, second: Measured, tasks: list[str]) -> tuple[float, tuple[float, float]]:
    """Average score of `first` minus that of `second`, and its paired interval."""
    gap = first.average(tasks) - second.average(tasks)
    return gap, interval(first.resampled(tasks) - second.resampled(tasks))


def load_study(directory: Path) -> Study:
    """Read a folder that `study.run` has filled, completely or in part.

    Raises:
        UserError: the folder has no study, or no arm is finished.
    """
    index = read_index(directory)
    tasks, trials = index["tasks"], {}
    for trial in index["trials"]:
        trials.setdefault(trial["arm"], []).append(trial)
    arms, curves = {}, {}
    for arm, own in trials.items():
        finished = [trial for trial in own if _has_all(directory / trial["folder"] / "probe", tasks)]
        if not finished:
            continue
        arms[arm] = _measured(directory, finished, "probe", finished[0]["updates"])
        if arm in CURVES:
            curves[arm] = _curve(directory, finished, tasks)
    if not arms:
        raise UserError(f"--results {directory}: no arm has finished all of {', '.join(tasks)}")
    updates = {arm: trials[arm][0]["updates"] for arm in arms}
    return Study(tasks, index["groups"], arms, updates, [arm for arm in ARMS if arm not in arms], curves)


def _curve(directory: Path, trials: list[dict], tasks: list[str]) -> list[Measured]:
    """The probed checkpoints and the final model of those seeds whose checkpoints are probed, in order."""
    probed = {
        trial["folder"]: {path.name for path in (directory / trial["folder"]).glob("probe-*") if _has_all(path, tasks)}
        for trial in trials
    }
    trials = [trial for trial in trials if probed[trial["folder"]]] or trials
    shared = sorted(set.intersection(*(probed[trial["folder"]] for trial in trials)))
    points = [(name, int(name.split("-")[1])) for name in shared] + [("probe", trials[0]["updates"])]
    return [_measured(directory, trials, name, updates) for name, updates in points]


def _measured(directory: Path, trials: list[dict], probe: str, updates: int) -> Measured:
    folders = tuple(directory / trial["folder"] / probe for trial in trials)
    seeds = tuple(trial["seed"] for trial in trials)
    return Measured(trials[0]["arm"], folders, seeds, updates * trials[0]["audio_seconds_per_update"] / 3600)


def _has_all(folder: Path, tasks: list[str]) -> bool:
    return (folder / "results.json").is_file() and set(tasks) <= load_results(folder)["tasks"].keys()
