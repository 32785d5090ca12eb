"""The pictures of a model card, drawn from the same files as its tables."""

import json
from pathlib import Path

from musicssl.errors import UserError
from musicssl.plotting import load_pyplot


def draw_training(directory: Path, title: str) -> str | None:
    """training.png from metrics.jsonl; None without rows or matplotlib."""
    from musicssl.pretraining.files.curves import plot_training

    metrics = directory / "metrics.jsonl"
    if not metrics.is_file() or not metrics.stat().st_size:
        return None
    plot_training(metrics, directory / "training.png", title)
    return "training.png" if (directory / "training.png").is_file() else None


def draw_layers(directory: Path) -> str | None:
    """layers.png: each task's validation score over the layers, from results.json; None when there is nothing."""
    results = directory / "results.json"
    tasks = json.loads(results.read_text())["tasks"] if results.is_file() else {}
    curves = {}
    for task, result in tasks.items():
        points = {int(name): entry["validation"] for name, entry in result["layers"].items() if name.isdigit()}
        if len(points) > 1:
            curves[task] = sorted(points.items())
    if not curves:
        return None
    try:
        pyplot = load_pyplot()
    except UserError:  # the table has the numbers; a card without the picture is whole
        return None
    figure, axis = pyplot.subplots(figsize=(6, 3.2))
    for task, points in curves.items():
        axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=task)
    axis.set_xlabel("hidden state (0: input of the transformer)")
    axis.set_ylabel("validation score")
    axis.legend(ncols=2, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(directory / "layers.png")
    pyplot.close(figure)
    return "layers.png"
