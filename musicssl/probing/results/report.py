"""Tables of results on the terminal, and one self-contained `report.html` with pictures to send to a colleague."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from musicssl.files import write_text
from musicssl.probing.kinds import get_kind
from musicssl.probing.results.compare import Difference, compare, difference_table
from musicssl.probing.results.names import layer_name
from musicssl.probing.results.plots import as_data_uri, layer_curves, layer_heat_map
from musicssl.probing.results.results import load_results
from musicssl.probing.results.tables import failures, published_notes, published_table, score_table
from musicssl.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(folders: Sequence[Path], report_folder: Path, report: bool = True) -> None:
    """Print the tables of finished folders, and write the report when it is asked for."""
    results = [load_results(folder) for folder in folders]
    differences, notes = compare(folders)
    _print(score_table(results), failures(results))
    _print(published_table(results), published_notes(results))
    _print(difference_table(differences) if differences else None, notes)
    written = [folder / "results.json" for folder in folders]
    if report:
        written.append(report_folder / "report.html")
        write_report(results, written[-1], differences, notes)
    print(*written, sep="\n")


def _print(table: Table | None, notes: Sequence[str]) -> None:
    """A table and notes on it, with a blank line after each."""
    if table:
        print(f"{table.markdown()}\n")
    if notes:
        print("\n".join(notes) + "\n")


def write_report(
    results: Sequence[dict], path: Path, differences: Sequence[Difference] = (), comparison_notes: Sequence[str] = ()
) -> None:
    """Render `results` (contents of `results.json`, the first one in detail) to one self-contained HTML file."""
    main = results[0]
    layered = [result for result in results if any(len(task["layers"]) > 1 for task in result["tasks"].values())]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = environment.get_template("report_template.html").render(
        main=main,
        results=results,
        scores=score_table(results),
        failures=failures(results),
        published=published_table(results),
        published_notes=published_notes(results),
        differences=difference_table(differences) if differences else None,
        comparison_notes=comparison_notes,
        heat_maps=[_picture("layer by task", layer_heat_map(result)) for result in layered],
        tasks=[
            {"title": task["title"], "facts": _facts(task), "pictures": _pictures(results, name)}
            for name, task in main["tasks"].items()
        ],
    )
    write_text(path, page)


def _facts(task: dict) -> list[str]:
    sizes = " / ".join(str(size) for size in task["split_sizes"].values())
    comparable_to = task["comparable_to"]
    compared = f"not comparable to {comparable_to[4:]}" if comparable_to.startswith("not ") else None
    return [
        f"{layer_name(task['layer'])}, learning rate {task['learning_rate']:g}, "
        f"feature scaling {task['feature_scaling']}",
        f"tracks (train / validation / test): {sizes}",
        compared or f"comparable to {comparable_to}",
        *(note for note in task["notes"] if note not in comparable_to),
    ]


def _pictures(results: Sequence[dict], name: str) -> list[dict[str, str]]:
    """Of one task: the scores of all models over their layers, and what its kind draws of the first model's."""
    pictures = []
    if any(len(result["tasks"][name]["layers"]) > 1 for result in results if name in result["tasks"]):
        pictures.append(_picture("layer curves", layer_curves(results, name)))
    task = results[0]["tasks"][name]
    kind = get_kind(task["kind"])
    if (figure := kind.picture(task)) is not None:
        pictures.append(_picture(kind.picture_name, figure))
    return pictures


def _picture(name: str, figure: "Figure") -> dict[str, str]:
    return {"name": name, "source": as_data_uri(figure)}
