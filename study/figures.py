"""The pictures of docs/study.md."""

from pathlib import Path

import numpy as np

from musicssl.plotting import load_pyplot
from musicssl.pretraining.files.metrics import read_metrics
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.probing.heads.heads import MIXED
from study.claims import control_of
from study.front_end import FAMILIES, chosen_tasks, front_ends
from study.measurements import Study, difference, interval
from study.plan import BASES, MEL, SMALL, TRAINED

LAYER_TASKS = ("notes_pitch_class", "piano_key", "giantsteps_key", "gtzan_genre", "artist_artist", "vocalset_singer")
SMOOTHED_ROWS = 5
# Metric, its name on the axis, and what to multiply it with.
TRAINED_FOR = {
    "music2vec": ("loss/masked", "loss per masked frame", 1.0),
    "musichubert": ("accuracy/masked", "masked frames named correctly, %", 100.0),
}
COLOURS = {"trained": "C0", "random weights": "0.55", "hand-made features": "C1"}
SHARES = (1, 3, 10, 30, 100)  # marked on an axis of %
LAYER_ARMS = (MEL, f"{MEL}_chroma", SMALL)


def draw_averages(study: Study, path: Path) -> None:
    """One bar per arm: the average over tasks with its 95 % interval, best on top."""
    pyplot = load_pyplot()
    arms = sorted(study.arms, key=lambda arm: study.arms[arm].average(study.tasks))
    figure, axes = pyplot.subplots(figsize=(5.6, 0.8 + 0.2 * len(arms)))
    for place, arm in enumerate(arms):
        measured = study.arms[arm]
        score = 100 * measured.average(study.tasks)
        low, high = (100 * end for end in interval(measured.resampled(study.tasks)))
        axes.barh(place, score, color=COLOURS[kind_of(arm)], height=0.7)
        axes.plot([low, high], [place, place], color="black", linewidth=1)
        axes.text(high + 0.5, place, f"{score:.1f}", va="center", fontsize=7)
    axes.set_yticks(range(len(arms)), arms)
    axes.set_xlabel(f"average score over {len(study.tasks)} tasks, %, with 95 % interval")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colour, label=kind) for kind, colour in COLOURS.items()]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    axes.grid(axis="y", visible=False)
    figure.savefig(path)
    pyplot.close(figure)


def draw_ablations(study: Study, pairs: list[tuple[str, str]], path: Path) -> None:
    """One bar per change of a base recipe: the difference of the averages with its paired 95 % interval."""
    pyplot = load_pyplot()
    pairs = pairs[::-1]  # bars are drawn from the bottom
    figure, axes = pyplot.subplots(figsize=(5.6, 0.8 + 0.2 * len(pairs)))
    bases = list(dict.fromkeys(base for base, _ in pairs))[::-1]
    for place, (base, arm) in enumerate(pairs):
        gap, (low, high) = difference(study.arms[arm], study.arms[base], study.tasks)
        axes.barh(place, 100 * gap, color=f"C{bases.index(base)}", height=0.7)
        axes.plot([100 * low, 100 * high], [place, place], color="black", linewidth=1)
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set_yticks(range(len(pairs)), [arm.removeprefix(base).lstrip("_") for base, arm in pairs])
    axes.set_xlabel(f"points of average over {len(study.tasks)} tasks against the base, with 95 % interval")
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=f"C{n}", label=f"{base} with") for n, base in enumerate(bases)]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    axes.grid(axis="y", visible=False)
    figure.savefig(path)
    pyplot.close(figure)


def draw_training(study: Study, path: Path) -> None:
    """A panel per base recipe, a line per arm: masked frames named correctly, or how far predictions are off."""
    pyplot = load_pyplot()
    figure, panels = pyplot.subplots(2, 2, figsize=(8.4, 5.4))
    for panel, (base, arms) in zip(panels.flat, BASES.items(), strict=True):
        metric, quantity, scale = TRAINED_FOR[base.split("_")[0]]
        for arm in dict.fromkeys((base, *arms)):
            if arm not in study.arms:
                continue
            updates, values = training_curve(study.arms[arm].folders[0].parent, metric)
            width = min(SMOOTHED_ROWS, len(values))
            smooth = np.convolve(scale * values, np.ones(width) / width, mode="valid")
            panel.plot(updates[width - 1 :], smooth, label=arm.removeprefix(base).lstrip("_") or "as it is")
        panel.set_title(f"{base} and its changes")
        panel.set_xlabel("update")
        panel.set_ylabel(quantity)
        panel.set_visible(bool(panel.lines))
        if panel.lines:
            panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


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
    """Average score against hours of audio heard; at zero hours stand the random weights."""
    pyplot = load_pyplot()
    figure, axes = pyplot.subplots(figsize=(5.2, 3.2))
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
    axes.set_xlabel("hours of audio heard in training (0: random weights)")
    axes.set_ylabel(f"average score over {len(study.tasks)} tasks, %")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    figure.savefig(path)
    pyplot.close(figure)


def draw_front_ends(study: Study, path: Path) -> None:
    """A panel per task: each network that hears the waveform, by its front end and its score."""
    pyplot = load_pyplot()
    tasks, found = chosen_tasks(study), front_ends(study)
    figure, panels = pyplot.subplots(1, len(tasks), figsize=(2.3 * len(tasks), 2.6), squeeze=False)
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
    figure.supxlabel("variance of the convolutions' output that is between clips, %", fontsize="medium")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncols=4, bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def draw_layers(study: Study, path: Path) -> None:
    """Validation score of each layer, a panel for each of six tasks: what training adds and takes away, and where."""
    pyplot = load_pyplot()
    arms = [arm for arm in LAYER_ARMS if arm in study.arms]
    arms += [control for control in dict.fromkeys(map(control_of, arms)) if control in study.arms]
    tasks = [task for task in LAYER_TASKS if task in study.tasks] or study.tasks[:6]
    columns = min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, panels = pyplot.subplots(rows, columns, figsize=(2.5 * columns, 2.1 * rows), squeeze=False)
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
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def kind_of(arm: str) -> str:
    if arm in TRAINED:
        return "trained"
    return "hand-made features" if arm in ACOUSTIC_FEATURES else "random weights"
