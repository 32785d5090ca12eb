"""Pictures of probing results, drawn from `results.json` alone."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from musicssl.probing.heads.heads import MIXED
from musicssl.probing.results.table import layer_name, validation_metric
from musicssl.probing.tasks.custom import KEYS

_FIFTHS = [(7 * step) % 12 for step in range(12)]  # semitones above the labelled tonic, around the circle
_RELATIONS = ({0: "correct", 7: "fifth\nabove", 5: "fifth\nbelow"}, {0: "parallel", 9: "relative"})


def layer_heat_map(result: dict) -> Figure:
    """Layer x task: validation score in %, coloured from each task's worst layer to its best; the choice is framed."""
    tasks = {name: task for name, task in result["tasks"].items() if len(task["layers"]) > 1}
    layers = list(next(iter(tasks.values()))["layers"])
    scores = np.array(
        [[task["layers"][layer]["validation"] for layer in layers] for task in tasks.values()], dtype=float
    )
    spread = np.ptp(scores, axis=1, keepdims=True)
    shade = (scores - scores.min(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    figure = Figure(figsize=(2.6 + 0.62 * len(layers), 1.3 + 0.42 * len(tasks)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shade, cmap="viridis", aspect="auto", vmin=0, vmax=1)
    for row, task in enumerate(tasks.values()):
        for column, layer in enumerate(layers):
            axes.text(
                column,
                row,
                f"{100 * scores[row, column]:.1f}",
                ha="center",
                va="center",
                fontsize=8,
                color="black" if shade[row, column] > 0.6 else "white",
                fontweight="bold" if layer == task["layer"] else "normal",
            )
        chosen = layers.index(task["layer"])
        axes.add_patch(Rectangle((chosen - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=1.5))
    axes.set_xticks(range(len(layers)), [layer_name(layer).replace(" ", "\n") for layer in layers])
    axes.set_yticks(range(len(tasks)), [f"{name} ({validation_metric(task)})" for name, task in tasks.items()])
    axes.set_title(
        f"{result['model']}: validation score in %\ncolour: a task's worst layer to its best\nframe: the chosen one",
        fontsize=9,
    )
    return figure


def layer_curves(results: Sequence[dict], task: str) -> Figure:
    """Validation score over layers, one line per model, the spread over seeds as a band."""
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for number, result in enumerate(result for result in results if task in result["tasks"]):
        layers = result["tasks"][task]["layers"]
        colour = f"C{number}"
        single = [layer for layer in layers if layer != MIXED]
        if len(single) == 1:
            axes.axhline(100 * layers[single[0]]["validation"], color=colour, linestyle=":", label=result["model"])
            continue
        seeds = 100 * np.array([layers[layer]["seeds"] for layer in single])
        axes.plot(single, seeds.mean(axis=1), "o-", color=colour, label=result["model"], markersize=4)
        axes.fill_between(single, seeds.min(axis=1), seeds.max(axis=1), color=colour, alpha=0.2, linewidth=0)
        if MIXED in layers:
            axes.axhline(
                100 * layers[MIXED]["validation"], color=colour, linestyle="--", linewidth=1, label="its weighted sum"
            )
    axes.set_xlabel("layer")
    metric = next(validation_metric(result["tasks"][task]) for result in results if task in result["tasks"])
    axes.set_ylabel(f"validation {metric}, %")
    axes.set_title(f"{task} (band: range over seeds)", fontsize=10)
    axes.legend(fontsize=7)
    return figure


def confusion_matrix(task: dict) -> Figure:
    """Labelled (rows) against predicted (columns), each row as shares of its clips."""
    counts = np.array(task["details"]["confusion"], dtype=float)
    labels = task["details"]["labels"]
    shown = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))  # classes that occur in test or were predicted
    counts, labels = counts[np.ix_(shown, shown)], [labels[i] for i in shown]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(3.2, min(9.0, 1.8 + 0.3 * len(labels)))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(100 * shares, cmap="magma_r", vmin=0, vmax=100)
    if len(labels) <= 12:
        for row, column in np.argwhere(shares >= 0.005):
            axes.text(
                column,
                row,
                f"{100 * shares[row, column]:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if shares[row, column] > 0.5 else "black",
            )
    step = max(1, len(labels) // 40)
    axes.set_xticks(range(0, len(labels), step), labels[::step], rotation=90, fontsize=7)
    axes.set_yticks(range(0, len(labels), step), labels[::step], fontsize=7)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled")
    axes.set_title(f"{task['title']}: % of each label's test clips", fontsize=10)
    figure.colorbar(image, ax=axes, fraction=0.045, label="%")
    return figure


def key_error_circle(task: dict) -> Figure:
    """Where the estimated key lies from the labelled one on the circle of fifths.

    Outer ring: the same mode; inner ring: the other mode. The top of the outer ring is a correct key.
    """
    shares = key_error_shares(np.array(task["details"]["confusion"], dtype=float))
    figure = Figure(figsize=(5.4, 5), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    angles = np.arange(12) * 2 * np.pi / 12
    colours = colormaps["magma_r"](shares)
    for ring, bottom in ((0, 1.0), (1, 0.4)):
        axes.bar(angles, 0.58, width=2 * np.pi / 12 * 0.97, bottom=bottom, color=colours[ring])
        for angle, semitones, share in zip(angles, _FIFTHS, shares[ring], strict=True):
            name = _RELATIONS[ring].get(semitones, f"+{semitones}")
            axes.text(
                angle,
                bottom + 0.29,
                f"{name}\n{100 * share:.0f} %",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share > 0.45 else "black",
            )
    axes.set_axis_off()
    axes.set_title(
        f"{task['title']}: estimated key from the labelled one\n"
        "outer ring: same mode, inner ring: other mode\n"
        "clockwise in fifths; +n: semitones between the tonics",
        fontsize=9,
    )
    return figure


def key_error_shares(confusion: np.ndarray) -> np.ndarray:
    """(24, 24) counts, labelled x estimated -> (2, 12) shares: same and other mode, around the circle of fifths."""
    shares = np.zeros((2, 12))
    for labelled in range(len(KEYS)):
        for estimated in range(len(KEYS)):
            interval = (estimated - labelled) % 12
            other_mode = int(labelled // 12 != estimated // 12)
            if other_mode and labelled >= 12:
                # A major key's relative lies 9 semitones up, a minor key's 3: mirrored, both share one place.
                interval = -interval % 12
            shares[other_mode, _FIFTHS.index(interval)] += confusion[labelled, estimated]
    return shares / max(shares.sum(), 1)


def beat_overlay(task: dict) -> Figure:
    """The beat activation of the first test clip, its labelled beats and the decoded ones."""
    example = task["details"]["beat_example"]
    activation = np.array(example["activation"])
    times = np.arange(len(activation)) / example["frame_rate_hz"]
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(times, activation, color="0.35", linewidth=0.9, label="activation")
    top = max(activation.max(), 1e-3)
    axes.vlines(example["labelled"], 0, 0.48 * top, color="C2", linewidth=1.6, label="labelled")
    axes.vlines(example["decoded"], 0.52 * top, top, color="C3", linewidth=1.6, label="decoded")
    axes.set_xlim(0, times[-1])
    axes.set_xlabel("seconds")
    axes.set_ylabel("beat probability")
    axes.set_title(f"{task['title']}: {example['clip']}", fontsize=10, loc="left")
    axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
    return figure


def as_data_uri(figure: Figure) -> str:
    """A PNG that needs no file of its own."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
