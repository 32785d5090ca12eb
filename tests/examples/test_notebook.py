"""The notebooks of examples/ run from top to bottom without a network."""

import json
from pathlib import Path

import matplotlib
import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_notebook_runs(path, tmp_path, monkeypatch):
    # The cells are plain Python, run here one after another: no Jupyter is needed to test them.
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path.name}:{cell['id']}", "exec"), names)
    matplotlib.pyplot.close("all")
    assert list(tmp_path.rglob("results.json"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_notebook_is_kept_without_outputs(path):
    # Outputs would change with every run and grow the repository; the site and a reader make their own.
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
