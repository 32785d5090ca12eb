"""The tables of docs/study.md and docs/study_tables.md."""

from collections.abc import Sequence
from statistics import fmean

import yaml

from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.probing.results.names import short
from musicssl.tables import Table
from study.claims import answers, control_of
from study.front_end import FAMILIES, chosen_tasks, front_ends, rank_correlation
from study.measurements import Measured, Study, difference, interval
from study.plan import BASES, OWN_MATERIAL, TRAINED, recipe_path

FEWEST_RANKED = 6  # a rank correlation of fewer networks is too often high by chance


def setup_table(study: Study) -> str:
    """What was run: seeds, updates, hours of audio, test clips."""
    trained = [arm for arm in study.arms if arm in TRAINED]
    updates = sorted({study.updates[arm] for arm in trained})
    hours = sorted({f"{study.arms[arm].hours:.1f}" for arm in trained}, key=float)
    seeds = sorted({len(study.arms[arm].seeds) for arm in trained})
    first = next(iter(study.arms.values())).results[0]["tasks"]
    rows = [
        ["trained arms", len(trained)],
        ["pre-training seeds of an arm", _range(seeds)],
        ["updates of a run", _range(updates)],
        ["hours of training audio", _range(hours)],
    ]
    for group, tasks in study.groups.items():
        clips = [f"{task} {first[task]['split_sizes']['test']}" for task in tasks]
        rows.append([f"test clips, {group}", ", ".join(clips)])
    rows.append(["arms not run", ", ".join(study.missing) or "none"])
    return Table(["", ""], rows).markdown()


def _range(values: Sequence) -> str:
    """The first to the last of sorted values."""
    return " to ".join(dict.fromkeys((str(values[0]), str(values[-1])))) if values else "–"


def average_table(study: Study) -> str:
    """One row per arm: the average over all tasks and over each group of them, with intervals."""
    groups = {"all tasks": study.tasks} | study.parts
    rows = [
        [arm, *(_with_interval(measured, tasks) for tasks in groups.values()), *_seed_cells(measured, study.tasks)]
        for arm, measured in study.arms.items()
    ]
    header = ["arm", *(f"{name} ({len(tasks)})" for name, tasks in groups.items()), "each seed", "over seeds"]
    return Table(header, rows).markdown()


def score_tables(study: Study) -> str:
    """One table per group of tasks: one row per arm, one column per task."""
    first = next(iter(study.arms.values()))
    tables = []
    for group, tasks in study.groups.items():
        header = ["arm", *(f"{task} ({short(first.metric(task))})" for task in tasks)]
        rows = [
            [arm, *(f"{100 * measured.score(task):.1f}" for task in tasks)] for arm, measured in study.arms.items()
        ]
        tables.append(f"{group.capitalize()}:\n\n{Table(header, rows).markdown()}")
    return "\n\n".join(tables)


def ablations(study: Study) -> list[tuple[str, str, str]]:
    """(base, arm, what the arm's recipe changes in the base recipe) of every finished pair."""
    found = []
    for base, arms in BASES.items():
        for arm in arms:
            if arm != base and {arm, base} <= study.arms.keys():
                own = yaml.safe_load(recipe_path(arm).read_text())
                changed = ", ".join(f"{key}: {_inline(value)}" for key, value in own.items() if key != "extends")
                found.append((base, arm, changed or f"--train_data {OWN_MATERIAL[arm]}"))
    return found


def ablation_table(study: Study) -> str:
    """The difference between each arm and the arm whose recipe it changes."""
    rows = [
        [arm, changed, *_gap_cells(*difference(study.arms[arm], study.arms[base], study.tasks))]
        for base, arm, changed in ablations(study)
    ]
    return Table(["arm", "changes", "points of average", "95 %"], rows).markdown()


def claim_table(study: Study, is_main: bool) -> str:
    """The main claims, or the same about ablations: the difference that answers each, and the verdict."""
    rows = [
        [each.claim, each.first, each.second, *_gap_cells(each.gap, each.ci95), each.verdict]
        + [" (".join(_gap_cells(*each.groups[part])) + ")" if each.groups else "–" for part in study.parts]
        for each in answers(study)
        if each.is_main == is_main
    ]
    return Table(["claim", "first", "second", "first - second", "95 %", "verdict", *study.parts], rows).markdown()


def curve_table(study: Study) -> str:
    """Average score of the intermediate checkpoints, from random weights to the end."""
    rows = []
    for arm, points in study.curves.items():
        control = study.arms.get(control_of(arm))
        for point in ([control] if control else []) + points:
            stage = "random weights" if point.arm.startswith(RANDOM_PREFIX) else f"{point.hours:.2f}"
            cells = [_with_interval(point, tasks) for tasks in (study.tasks, *study.parts.values())]
            rows.append([arm, stage, *cells])
    return Table(["arm", "hours of training audio", "all tasks", *study.parts], rows).markdown()


def front_end_table(study: Study) -> str:
    """One row per network that takes the waveform as input, ordered by the variance between clips."""
    tasks, found = chosen_tasks(study), front_ends(study)
    if not found:
        return "Not measured."
    rows = []
    for each in sorted(found, key=lambda each: each.between_clips):
        shown = [each.between_clips, *(each.scores[task] for task in tasks), fmean(each.scores.values())]
        rows.append([f"{each.arm}, seed {each.seed}", *(f"{100 * value:.1f}" for value in shown)])
    for family in FAMILIES:
        trained = [each for each in found if each.arm in TRAINED and each.arm.startswith(family)]
        if len(trained) >= FEWEST_RANKED:
            correlations = [f"{rank_correlation(trained, task):+.2f}" for task in tasks]
            rows.append([f"rank correlation, {len(trained)} trained {family}", "", *correlations, ""])
    return Table(["network", "variance between clips, %", *tasks, "all tasks"], rows).markdown()


def _with_interval(measured: Measured, tasks: list[str]) -> str:
    low, high = interval(measured.resampled(tasks))
    return f"{100 * measured.average(tasks):.1f} ±{50 * (high - low):.1f}"


def _seed_cells(measured: Measured, tasks: list[str]) -> list[str]:
    """The average of each pre-training seed, and their mean with its interval over seeds alone."""
    if measured.arm in ACOUSTIC_FEATURES:
        return ["–", "–"]
    averages, ends = 100 * measured.seed_averages(tasks), measured.over_seeds(tasks)
    between = "–" if ends is None else f"{averages.mean():.1f} ±{50 * (ends[1] - ends[0]):.1f}"
    return [", ".join(f"{average:.1f}" for average in averages), between]


def _gap_cells(gap: float, ci95: tuple[float, float]) -> list[str]:
    return [f"{100 * gap:+.1f}", f"{100 * ci95[0]:+.1f} … {100 * ci95[1]:+.1f}"]


def _inline(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=200).splitlines()[0]
