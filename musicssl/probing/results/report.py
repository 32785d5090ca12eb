"""One self-contained `report.html`: tables, pictures and notes of one or several models, to send to a colleague."""

import html
from collections.abc import Sequence
from pathlib import Path

from musicssl.errors import UserError
from musicssl.probing.results.compare import Difference, difference_table
from musicssl.probing.results.table import layer_name, published_table, score_table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } h3 { font-size: 1rem; margin-bottom: .3rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left; white-space: nowrap }
th { border-bottom: 2px solid #888 } img { max-width: 100%; vertical-align: top; margin: .4rem .4rem .4rem 0 }
li, .note { font-size: .85rem; color: #444 }
"""


def write_report(
    results: Sequence[dict], path: Path, differences: Sequence[Difference] = (), comparison_notes: Sequence[str] = ()
) -> None:
    """Render `results` (contents of `results.json`, the first one in detail) to one HTML file without outside parts.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from musicssl.probing.results import plots
    except ModuleNotFoundError as error:
        raise UserError(
            f"the report needs {error.name}: pip install 'music2vec-musichubert[plots]', or give --no_report"
        ) from error
    main = results[0]
    parts = [
        f"<h1>Probing {html.escape(', '.join(result['model'] for result in results))}</h1>",
        "<p>Mean over seeds in %, ± half of the 95 % interval (bootstrap over test tracks and seeds). "
        "Layer and learning rate were chosen on validation; each choice was tested once.</p>",
        _table(score_table(results)),
    ]
    if published := published_table(results):
        parts += ["<h2>Beside published numbers</h2>", _table(published)]
    if differences:
        parts += [
            "<h2>Differences</h2>",
            "<p>Paired bootstrap over the shared test tracks; * is significant at 5 % after Holm's correction.</p>",
            _table(difference_table(differences)),
        ]
    parts += [f"<p class=note>{html.escape(note)}</p>" for note in comparison_notes]
    layered = [result for result in results if any(len(task["layers"]) > 1 for task in result["tasks"].values())]
    if layered:
        parts.append("<h2>Layers</h2>")
        parts += [_image(plots.as_data_uri(plots.layer_heat_map(result)), "layer by task") for result in layered]
    parts.append("<h2>Tasks</h2>")
    for name, task in main["tasks"].items():
        parts += _task_section(plots, results, name, task)
    parts += [
        "<h2>Versions</h2>",
        "<p class=note>" + html.escape(", ".join(f"{k} {v}" for k, v in main["versions"].items())) + "</p>",
    ]
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Probing {html.escape(main['model'])}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )
    aside = path.with_name(f".{path.name}")
    aside.write_text(page, encoding="utf-8")
    aside.replace(path)


def _task_section(plots, results: Sequence[dict], name: str, task: dict) -> list[str]:
    parts = [f"<h3>{html.escape(task['title'])}</h3>"]
    sizes = " / ".join(str(size) for size in task["split_sizes"].values())
    comparable_to = task["comparable_to"]
    facts = [
        f"{layer_name(task['layer'])}, learning rate {task['learning_rate']:g}, "
        f"feature scaling {task['feature_scaling']}",
        f"tracks (train / validation / test): {sizes}",
        f"not comparable to {comparable_to[4:]}"
        if comparable_to.startswith("not ")
        else f"comparable to {comparable_to}",
        *(note for note in task["notes"] if note not in comparable_to),
    ]
    parts.append("<ul>" + "".join(f"<li>{html.escape(str(fact))}</li>" for fact in facts) + "</ul>")
    if any(len(result["tasks"][name]["layers"]) > 1 for result in results if name in result["tasks"]):
        parts.append(_image(plots.as_data_uri(plots.layer_curves(results, name)), "layer curves"))
    if task["kind"] == "key":
        parts.append(_image(plots.as_data_uri(plots.key_error_circle(task)), "key errors"))
    elif "confusion" in task["details"]:
        parts.append(_image(plots.as_data_uri(plots.confusion_matrix(task)), "confusion matrix"))
    if "beat_example" in task["details"]:
        parts.append(_image(plots.as_data_uri(plots.beat_overlay(task)), "beats"))
    return parts


def _image(source: str, meaning: str) -> str:
    return f"<img alt='{meaning}' src='{source}'>"


def _table(markdown: str) -> str:
    """A Markdown table, and the lines after it, as HTML."""
    rows, after = [], []
    for line in markdown.splitlines():
        if line.startswith("|--"):
            continue
        if line.startswith("|"):
            rows.append([html.escape(cell.strip()) for cell in line.strip("|").split(" | ")])
        elif line.strip():
            after.append(html.escape(line))
    head, *body = rows or [[]]
    cells = "".join(f"<th>{cell}" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}" for cell in row) for row in body)
    return f"<div class=scroll><table><tr>{cells}{lines}</table></div>" + "".join(
        f"<p class=note>{line}</p>" for line in after
    )
