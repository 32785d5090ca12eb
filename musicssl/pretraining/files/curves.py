"""training.png: loss, accuracy or health, learning rate and throughput of a run, from its metrics.jsonl."""

from pathlib import Path

from musicssl.plotting import load_pyplot, save_figure
from musicssl.pretraining.files.metrics import read_metrics

# (title, metric names, logarithmic); a panel without any of its metrics is left out.
PANELS = (
    ("Loss per masked frame", ("loss/total", "loss/masked", "validation/loss/total", "validation/loss/masked"), False),
    (
        "Accuracy",
        ("accuracy/masked", "accuracy/unmasked", "validation/accuracy/masked", "validation/accuracy/unmasked"),
        False,
    ),
    ("Standard deviation", ("target/std", "prediction/std"), False),
    ("Gradient norm", ("grad_norm",), True),
    ("Learning rate", ("learning_rate",), False),
    ("Audio seconds per second", ("perf/audio_seconds_per_second",), False),
)


def plot_training(metrics_file: Path, picture: Path, title: str) -> None:
    """Draw the curves of a run."""
    pyplot = load_pyplot()
    rows = read_metrics(metrics_file)
    known = {name for row in rows for name in row}
    panels = [panel for panel in PANELS if known.intersection(panel[1])]
    figure, axes = pyplot.subplots(2, -(-len(panels) // 2), figsize=(3.2 * -(-len(panels) // 2), 4.6), squeeze=False)
    for axis, (panel_title, names, logarithmic) in zip(axes.flat, panels, strict=False):
        for name in names:
            points = [(row["update"], row[name]) for row in rows if name in row]
            if points:
                # A few validations are points to see; thousands of rows are a line.
                marker = "o" if len(points) <= 30 else ""
                axis.plot(*zip(*points, strict=True), marker=marker, markersize=2.5, label=name)
        axis.set_title(panel_title)
        axis.set_xlabel("update")
        if logarithmic:
            axis.set_yscale("log")
        if sum(name in known for name in names) > 1:
            axis.legend()
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title)
    figure.tight_layout()
    save_figure(figure, picture)
