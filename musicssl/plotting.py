"""One style for every picture of the project, drawn without a display."""

from pathlib import Path

from musicssl.files import whole_file

STYLE = {
    "figure.dpi": 150,
    "savefig.bbox": "tight",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
}


def load_pyplot():
    """matplotlib's pyplot in our style, on the Agg backend; imported when the first picture is drawn."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(STYLE)
    return pyplot


def save_figure(figure, path: Path) -> None:
    """Write a figure whole, in the format that the suffix of `path` names, and close it."""
    with whole_file(path) as partial:
        figure.savefig(partial, format=path.suffix[1:])
    load_pyplot().close(figure)
