"""One look for every picture of the project, drawn without a display."""

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
