"""Pictures of scores over layers, drawn from `results.json` alone; those of one task are drawn by its kind."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from musicssl.probing.heads.heads import MIXED
from musicssl.probing.results.names import layer_name, validation_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def layer_heat_map(result: dict) -> "Figure":
    """Layer x task: validation score in %, colored from each task's worst layer to its best; the choice is framed."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

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
            colour = "black" if shade[row, column] > 0.6 else "white"
            weight = "bold" if layer == task["layer"] else "normal"
            text = f"{100 * scores[row, column]:.1f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour, fontweight=weight)
        chosen = layers.index(task["layer"])
        axes.add_patch(Rectangle((chosen - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=1.5))
    axes.set_xticks(range(len(layers)), [layer_name(layer).replace(" ", "\n") for layer in layers])
    axes.set_yticks(range(len(tasks)), [f"{name} ({validation_metric(task)})" for name, task in tasks.items()])
    axes.set_title(
        f"{result['model']}: validation score in %\ncolour: a task's worst layer to its best\nframe: the chosen one",
        fontsize=9,
    )
    return figure


def layer_curves(results: Sequence[dict], task: str) -> "Figure":
    """Validation score over layers, one line per model, the spread over seeds as a band."""
    from matplotlib.figure import Figure

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


def as_data_uri(figure: "Figure") -> str:
    """The figure as PNG in a data URI, so that the page needs no other file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
