"""The pictures of docs/study.md and docs/study_tables.md."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musicssl.plotting import load_pyplot, save_figure
from musicssl.pretraining.files.metrics import read_metrics
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.probing.heads.heads import MIXED
from study.claims import answers, control_of
from study.front_end import FAMILIES, chosen_tasks, front_ends
from study.measurements import Study, difference, interval
from study.plan import BASES, MEL, SMALL, TRAINED
from study.tables import ablations

LAYER_TASKS = ("notes_pitch_class", "piano_key", "giantsteps_key", "gtzan_genre", "artist_artist", "vocalset_singer")
SMOOTHED_ROWS = 5
# Metric, its name on the axis, and what to multiply it with.
TRAINED_FOR = {
    "music2vec": ("loss/masked", "loss per masked frame", 1.0),
    "musichubert": ("accuracy/masked", "masked accuracy, %", 100.0),
}
KINDS = ("trained", "acoustic features", "random weights")
SHARES = (1, 3, 10, 30, 100)  # ticks of an axis in %
LAYER_ARMS = (MEL, f"{MEL}_chroma", SMALL)


@dataclass(frozen=True)
class Bar:
    """A value with its interval, as fractions; bars of one kind share a colour."""

    name: str
    kind: str
    value: float
    ci95: tuple[float, float]


def draw_bars(
    bars: Sequence[Bar], label: str, path: Path, kinds: Iterable[str] = (), columns: int = 2, sign: str = "+"
) -> None:
    """One horizontal bar for each value, from the top, with its interval as a line.

    Args:
        kinds: order of the kinds in the legend, which has `columns`; default: as they come.
        sign: "+" to print the values with their sign, else "".
    """
    pyplot = load_pyplot()
    colours = {kind: f"C{number}" for number, kind in enumerate(kinds or dict.fromkeys(bar.kind for bar in bars))}
    figure, axes = pyplot.subplots(figsize=(5.6, 0.8 + 0.2 * len(bars)))
    for place, bar in enumerate(reversed(bars)):  # bars are drawn from the bottom
        low, high = (100 * end for end in bar.ci95)
        axes.barh(place, 100 * bar.value, color=colours[bar.kind], height=0.7)
        axes.plot([low, high], [place, place], color="black", linewidth=1)
        text = f"{100 * bar.value:{sign}.1f}"
        axes.annotate(text, (max(high, 0), place), (3, 0), textcoords="offset points", va="center", fontsize=6)
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set_yticks(range(len(bars)), [bar.name for bar in reversed(bars)])
    axes.set_xlabel(label)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colour, label=kind) for kind, colour in colours.items()]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)
    axes.grid(axis="y", visible=False)
    save_figure(figure, path)


def draw_answers(study: Study, path: Path) -> None:
    """The difference of each main claim with its paired 95 % interval."""
    main = [each for each in answers(study) if each.is_main]
    bars = [Bar(f"{each.first} – {each.second}", each.claim, each.gap, each.ci95) for each in main]
    draw_bars(bars, "difference in points, with 95 % interval", path, columns=1)


def draw_averages(study: Study, path: Path) -> None:
    """The average over all tasks of each arm with its 95 % interval, best first."""
    bars = [
        Bar(arm, kind_of(arm), measured.average(study.tasks), interval(measured.resampled(study.tasks)))
        for arm, measured in study.arms.items()
    ]
    bars.sort(key=lambda bar: bar.value, reverse=True)
    draw_bars(bars, "average score over all tasks, %, with 95 % interval", path, KINDS, columns=3, sign="")


def draw_ablations(study: Study, path: Path) -> None:
    """One bar per change of a base recipe: the difference of the averages with its paired 95 % interval."""
    bars = [
        Bar(changed_part(arm, base), base, *difference(study.arms[arm], study.arms[base], study.tasks))
        for base, arm, _ in ablations(study)
    ]
    draw_bars(bars, "difference of the average from the base recipe, points, with 95 % interval", path)


def changed_part(arm: str, base: str) -> str:
    """musichubert_mel_chroma, a change of musichubert_mel -> chroma."""
    return arm.removeprefix(base).lstrip("_")


def draw_training(study: Study, path: Path) -> None:
    """A panel per base recipe, a line per arm: the loss of music2vec, the masked accuracy of musicHuBERT."""
    figure, panels = _panels(2, 2, 8.4, 5.4)
    for panel, (base, arms) in zip(panels.flat, BASES.items(), strict=True):
        metric, quantity, scale = TRAINED_FOR[base.split("_")[0]]
        for arm in dict.fromkeys((base, *arms)):
            if arm not in study.arms:
                continue
            updates, values = training_curve(study.arms[arm].folders[0].parent, metric)
            width = min(SMOOTHED_ROWS, len(values))
            smooth = np.convolve(scale * values, np.ones(width) / width, mode="valid")
            panel.plot(updates[width - 1 :], smooth, label=changed_part(arm, base) or "base recipe")
        panel.set_title(f"{base} and its changes")
        panel.set_xlabel("update")
        panel.set_ylabel(quantity)
        panel.set_visible(bool(panel.lines))
        if panel.lines:
            panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    save_figure(figure, path)


def training_curve(run: Path, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates and values of a metric; the iterations of a run one after the other."""
    iterations = sorted(run.glob("iteration-*"), key=lambda path: int(path.name.split("-")[1]))
    updates, values, before = [], [], 0
    for folder in iterations or [run]:
        rows = [row for row in read_metrics(folder / "metrics.jsonl") if metric in row]
        updates += [before + row["update"] for row in rows]
        values += [row[metric] for row in rows]
        before = max(updates, default=0)
    return np.array(updates), np.array(values)


def draw_hours(study: Study, path: Path) -> None:
    """Average score against hours of training audio; zero hours are the random weights."""
    figure, ((axes,),) = _panels(1, 1, 5.2, 3.2)
    for number, (arm, points) in enumerate(study.curves.items()):
        if control_of(arm) in study.arms:
            points = [study.arms[control_of(arm)], *points]
        scores = np.array([100 * point.average(study.tasks) for point in points])
        ends = 100 * np.array([interval(point.resampled(study.tasks)) for point in points])
        hours = [point.hours for point in points]
        axes.plot(hours, scores, "o-", color=f"C{number}", label=arm, markersize=4)
        axes.fill_between(hours, ends[:, 0], ends[:, 1], color=f"C{number}", alpha=0.15, linewidth=0)
    for name in ACOUSTIC_FEATURES:
        if name in study.arms:
            score = 100 * study.arms[name].average(study.tasks)
            axes.axhline(score, color="0.4", linestyle=":", linewidth=0.9)
            axes.annotate(name, (1.0, score), xycoords=("axes fraction", "data"), va="center", fontsize=7)
    axes.set_xlabel("hours of training audio (0: random weights)")
    axes.set_ylabel(f"average score over {len(study.tasks)} tasks, %")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    save_figure(figure, path)


def draw_front_ends(study: Study, path: Path) -> None:
    """A panel per task: each network that takes the waveform as input, by its front end and its score."""
    found, tasks = front_ends(study), chosen_tasks(study)
    figure, panels = _panels(1, len(tasks), 2.3 * len(tasks), 2.6)
    for panel, task in zip(panels[0], tasks, strict=True):
        for number, family in enumerate(FAMILIES):
            for kind, face in (("", f"C{number}"), (RANDOM_PREFIX, "none")):
                points = [each for each in found if each.arm.startswith(kind + family)]
                shares = [100 * each.between_clips for each in points]
                scores = [100 * each.scores[task] for each in points]
                label = f"{family}, random weights" if kind else family
                panel.scatter(shares, scores, s=22, facecolors=face, edgecolors=f"C{number}", label=label)
        panel.set_title(task)
        panel.set_xscale("log")
        panel.set_xticks(SHARES, map(str, SHARES))
        panel.minorticks_off()
        panel.set_xlim(0.9, 100)
    panels[0, 0].set_ylabel("test score, %")
    figure.supxlabel("variance of the convolutions' output between clips, %", fontsize="medium")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncols=4, bbox_to_anchor=(0.5, 1.0))
    save_figure(figure, path)


def draw_layers(study: Study, path: Path) -> None:
    """Validation score of each layer, with trained and with random weights; a panel for each of six tasks."""
    arms = [arm for arm in LAYER_ARMS if arm in study.arms]
    arms += [control for control in dict.fromkeys(map(control_of, arms)) if control in study.arms]
    tasks = [task for task in LAYER_TASKS if task in study.tasks] or study.tasks[:6]
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, panels = _panels(rows, columns, 2.5 * columns, 2.1 * rows)
    for panel, task in zip(panels.flat, tasks, strict=False):
        for arm in arms:
            seeds = [result["tasks"][task]["layers"] for result in study.arms[arm].results]
            names = [name for name in seeds[0] if name != MIXED]
            scores = [100 * np.mean([layers[name]["validation"] for layers in seeds]) for name in names]
            random = arm.startswith(RANDOM_PREFIX)
            colour = f"C{LAYER_ARMS.index(SMALL if arm.endswith(SMALL) else arm.removeprefix(RANDOM_PREFIX))}"
            panel.plot(names, scores, "o--" if random else "o-", color=colour, markersize=3, label=arm)
        panel.set_title(task)
    for panel in panels.flat[len(tasks) :]:
        panel.set_visible(False)
    for panel in panels[-1]:
        panel.set_xlabel("layer")
    for panel in panels[:, 0]:
        panel.set_ylabel("validation score, %")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="upper center", ncols=3, bbox_to_anchor=(0.5, 0.0))
    save_figure(figure, path)


def _panels(rows: int, columns: int, width: float, height: float):
    """A figure of so many inches, and its panels (rows, columns)."""
    return load_pyplot().subplots(rows, columns, figsize=(width, height), squeeze=False, layout="tight")


def kind_of(arm: str) -> str:
    if arm in TRAINED:
        return "trained"
    return "acoustic features" if arm in ACOUSTIC_FEATURES else "random weights"
