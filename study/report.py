"""Write the tables and pictures of a study into a document, between its markers; the prose around them stays.

    python -m study.report --results runs/study --document docs/study.md

A block of the document is everything from `<!-- begin NAME -->` to `<!-- end NAME -->`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import yaml

from musicssl.errors import UserError, run_as_command
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.probing.results.names import short
from musicssl.tables import Table
from study.claims import answers, control_of
from study.figures import draw_ablations, draw_averages, draw_front_ends, draw_hours, draw_layers, draw_training
from study.front_end import FAMILIES, chosen_tasks, front_ends, rank_correlation
from study.measurements import Measured, Study, difference, interval, load_study
from study.plan import BASES, OWN_MATERIAL, TRAINED, recipe_path

FEWEST_RANKED = 6  # fewer networks are in order by chance too often


def main(command_line: Sequence[str] | None = None) -> None:
    """Fill every block that the document has."""
    parser = argparse.ArgumentParser(prog="python -m study.report", description="Fill in the document of a study.")
    parser.add_argument("--results", type=Path, required=True, help="--output_dir of study.run")
    parser.add_argument("--document", type=Path, help="Markdown with markers; default: print the tables")
    parsed = parser.parse_args(command_line)
    study = load_study(parsed.results)
    if parsed.document is None:
        print("\n\n".join(f"{name}\n\n{render(study)}" for name, render in TABLES.items()))
        return
    if not parsed.document.is_file():
        raise UserError(f"--document {parsed.document}: no such file; start from docs/study.md")
    pictures = parsed.document.parent / "figures"
    pictures.mkdir(exist_ok=True)
    blocks = {name: render(study) for name, render in TABLES.items()}
    for name, (draw, caption) in FIGURES.items():
        picture = f"study_{name.removesuffix('_figure')}.png"
        draw(study, pictures / picture)
        blocks[name] = f"![{caption}](figures/{picture})\n\n*{caption}*"
    parsed.document.write_text(fill(parsed.document.read_text(), blocks))
    print(parsed.document)


def fill(text: str, blocks: dict[str, str]) -> str:
    """Replace what stands between the markers of each block.

    Raises:
        UserError: the document asks for a block that there is not.
    """

    def replacement(match: re.Match) -> str:
        name = match["name"]
        if name not in blocks:
            raise UserError(f"the document asks for the block {name!r}; there are {', '.join(blocks)}")
        return f"<!-- begin {name} -->\n{blocks[name]}\n<!-- end {name} -->"

    return re.sub(r"<!-- begin (?P<name>\w+) -->.*?<!-- end (?P=name) -->", replacement, text, flags=re.DOTALL)


def setup_table(study: Study) -> str:
    """What was run: seeds, updates, hours of audio, test clips."""
    trained = [arm for arm in study.arms if arm in TRAINED]
    updates = sorted({study.updates[arm] for arm in trained})
    hours = sorted({f"{study.arms[arm].hours:.1f}" for arm in trained}, key=float)
    seeds = sorted({study.seeds[arm] for arm in trained})
    first = next(iter(study.arms.values())).results[0]["tasks"]
    rows = [
        ["trained arms", str(len(trained))],
        ["pre-training seeds of an arm", _range(seeds)],
        ["updates of a run", _range(updates)],
        ["hours of audio heard", _range(hours)],
        *(
            [f"test clips, {group}", ", ".join(f"{task} {first[task]['split_sizes']['test']}" for task in tasks)]
            for group, tasks in study.groups.items()
        ),
        ["arms not run", ", ".join(study.missing) or "none"],
    ]
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
    """(base, arm, what its recipe changes of the base's) of every finished pair."""
    found = []
    for base, arms in BASES.items():
        for arm in arms:
            if arm != base and {arm, base} <= study.arms.keys():
                own = yaml.safe_load(recipe_path(arm).read_text())
                changed = ", ".join(f"{key}: {_inline(value)}" for key, value in own.items() if key != "extends")
                found.append((base, arm, changed or f"--train_data {OWN_MATERIAL[arm]}"))
    return found


def ablation_table(study: Study) -> str:
    """Each arm beside the arm whose recipe it changes: the key, and what it does to the average."""
    rows = [
        [arm, changed, *_gap_cells(*difference(study.arms[arm], study.arms[base], study.tasks))]
        for base, arm, changed in ablations(study)
    ]
    return Table(["arm", "changes", "points of average", "95 %"], rows).markdown()


def claim_table(study: Study) -> str:
    """Each claim, the difference that answers it, and the verdict."""
    rows, parts = [], study.parts
    for answer in answers(study):
        gap = _gap_cells(answer.gap, answer.ci95)
        of_parts = [" (".join(_gap_cells(*answer.groups[part])) + ")" if answer.groups else "–" for part in parts]
        rows.append([answer.claim, answer.first, answer.second, *gap, answer.verdict, *of_parts])
    return Table(["claim", "first", "second", "first - second", "95 %", "verdict", *parts], rows).markdown()


def curve_table(study: Study) -> str:
    """Average score of the checkpoints on the way, from random weights on."""
    rows = []
    for arm, points in study.curves.items():
        control = study.arms.get(control_of(arm))
        for point in ([control] if control else []) + points:
            stage = "random weights" if point.arm.startswith(RANDOM_PREFIX) else f"{point.hours:.2f}"
            cells = [_with_interval(point, tasks) for tasks in (study.tasks, *study.parts.values())]
            rows.append([arm, stage, *cells])
    return Table(["arm", "hours heard", "all tasks", *study.parts], rows).markdown()


def front_end_table(study: Study) -> str:
    """One row per network that hears the waveform, by how much of its front end tells clips apart."""
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


def _draw_ablations(study: Study, path: Path) -> None:
    draw_ablations(study, [(base, arm) for base, arm, _ in ablations(study)], path)


TABLES: dict[str, Callable[[Study], str]] = {
    "setup": setup_table,
    "averages_table": average_table,
    "scores": score_tables,
    "claims": claim_table,
    "ablations": ablation_table,
    "hours_table": curve_table,
    "front_end_table": front_end_table,
}
FIGURES: dict[str, tuple[Callable[[Study, Path], None], str]] = {
    "averages": (draw_averages, "Average score of each arm with its 95 % interval."),
    "ablations_figure": (_draw_ablations, "What each change of a base recipe does to the average score."),
    "training": (draw_training, "Learning curves: what the models are trained for, as the training goes on."),
    "hours": (draw_hours, "Average score against hours of audio heard; dotted: hand-made features."),
    "front_ends": (
        draw_front_ends,
        "Scores against how much of the variance of the convolutions' output lies between clips: each point a network "
        "that hears the waveform, one pre-training seed.",
    ),
    "layers": (draw_layers, "Validation score of each layer; dashed: the same network with random weights."),
}

if __name__ == "__main__":
    sys.exit(run_as_command(main))
