"""The pictures of a model card, drawn from the same files as its tables."""

from pathlib import Path

from musicssl.files import read_json
from musicssl.plotting import load_pyplot, save_figure
from musicssl.pretraining.files.curves import plot_training


def draw_training(directory: Path, title: str) -> str | None:
    """Draw training.png from metrics.jsonl; None when there are no rows."""
    metrics = directory / "metrics.jsonl"
    if not metrics.is_file() or not metrics.stat().st_size:
        return None
    plot_training(metrics, directory / "training.png", title)
    return "training.png"


def draw_layers(directory: Path) -> str | None:
    """Draw layers.png, each task's validation score over the layers, from results.json; None when it has no scores."""
    results = directory / "results.json"
    tasks = read_json(results)["tasks"] if results.is_file() else {}
    curves = {}
    for task, result in tasks.items():
        points = {int(name): entry["validation"] for name, entry in result["layers"].items() if name.isdigit()}
        if len(points) > 1:
            curves[task] = sorted(points.items())
    if not curves:
        return None
    figure, axis = load_pyplot().subplots(figsize=(6, 3.2))
    for task, curve in curves.items():
        axis.plot(*zip(*curve, strict=True), marker="o", markersize=3, label=task)
    axis.set_xlabel("hidden state (0: input of the transformer)")
    axis.set_ylabel("validation score")
    axis.legend(ncols=2, loc="center left", bbox_to_anchor=(1.01, 0.5))
    save_figure(figure, directory / "layers.png")
    return "layers.png"
