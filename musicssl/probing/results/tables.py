"""Tables of the results of one or several models, with published numbers where a task is comparable."""

from collections.abc import Sequence

from musicssl.probing.results.marble_scores import PUBLISHED, SOURCE
from musicssl.probing.results.names import layer_name, short
from musicssl.tables import Table


def score_table(results: Sequence[dict]) -> Table | None:
    """One row per task and metric, one column per model: mean in %, half of the 95 % interval, chosen layer.

    Args:
        results: contents of `results.json`, one per model.
    """
    rows = []
    for task in _tasks(results):
        done = [result["tasks"].get(task) for result in results]
        first = next(filter(None, done))
        for metric in first["metrics"]:
            cells = [
                _cell(each, metric) if each else _error(result, task)
                for each, result in zip(done, results, strict=True)
            ]
            rows.append([task, short(metric), *cells, first["split_sizes"]["test"]])
    return Table(["task", "metric", *(result["model"] for result in results), "test clips"], rows) if rows else None


def failures(results: Sequence[dict]) -> list[str]:
    """Why tasks have no scores, one line each."""
    failed = {task: message for result in results for task, message in result.get("errors", {}).items()}
    return [f"{task}: {message}" for task, message in failed.items()]


def published_table(results: Sequence[dict]) -> Table | None:
    """Our columns and MARBLE's, where data and protocol are the published ones; None when no task is comparable."""
    tasks, _ = _published_tasks(results)
    if not tasks:
        return None
    systems = list(PUBLISHED[tasks[0]]["rows"])
    rows = []
    for task in tasks:
        for metric in PUBLISHED[task]["metrics"]:
            ours = [_cell(result["tasks"][task], metric) if _comparable(result, task) else "–" for result in results]
            theirs = [PUBLISHED[task]["rows"][system].get(metric, "–") for system in systems]
            rows.append([task, short(metric), *ours, *theirs])
    return Table(["task", "metric", *(result["model"] for result in results), *systems], rows)


def published_notes(results: Sequence[dict]) -> list[str]:
    """Remarks on `published_table`, and the tasks that are not in it although there are published numbers."""
    tasks, others = _published_tasks(results)
    notes = [f"Published columns: {SOURCE}.", "Ours are comparable to:"] if tasks else []
    notes += [
        f"- {result['model']}, {task}: {result['tasks'][task]['comparable_to']}"
        for result in results
        for task in tasks
        if task in result["tasks"]
    ]
    if others:
        notes.append(f"No published numbers beside {', '.join(others)}: data or protocol are not the published ones.")
    return notes


def _published_tasks(results: Sequence[dict]) -> tuple[list[str], list[str]]:
    """The tasks with published numbers: those where ours are comparable, and the others."""
    known = [task for task in _tasks(results) if task in PUBLISHED]
    tasks = [task for task in known if any(_comparable(result, task) for result in results)]
    return tasks, [task for task in known if task not in tasks]


def _comparable(result: dict, task: str) -> bool:
    return task in result["tasks"] and result["tasks"][task].get("comparable", False)


def _cell(task: dict, metric: str) -> str:
    score = task["metrics"].get(metric)
    if score is None or score["mean"] is None:
        return "–"
    layer = "" if len(task["layers"]) == 1 else f" ({layer_name(task['layer'])})"
    spread = f" ±{50 * (score['ci95'][1] - score['ci95'][0]):.1f}" if score["ci95"] else ""
    return f"{100 * score['mean']:.1f}{spread}{layer}"


def _error(result: dict, task: str) -> str:
    return "error" if task in result.get("errors", {}) else "–"


def _tasks(results: Sequence[dict]) -> list[str]:
    return list(dict.fromkeys(task for result in results for task in result["tasks"]))
