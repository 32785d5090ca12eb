"""The Markdown table of one or several models, beside published numbers where a task is comparable."""

from collections.abc import Sequence

from musicssl.probing.heads.heads import MIXED
from musicssl.probing.results.marble_scores import PUBLISHED, SOURCE

SHORT = {
    "accuracy": "acc",
    "roc_auc": "ROC-AUC",
    "average_precision": "AP",
    "r2": "R²",
    "key_score": "key",
    "beat_f1_70ms_micro": "F₇₀ micro",
    "beat_f1_70ms": "F₇₀ mean",
    "beat_f1_20ms_micro": "F₂₀ micro",
}


def score_table(results: Sequence[dict]) -> str:
    """One row per task and metric, one column per model: mean in %, half of the 95 % interval, chosen layer."""
    header = ["task", "metric", *(result["model"] for result in results), "test clips"]
    rows = []
    for task in _tasks(results):
        done = [result["tasks"].get(task) for result in results]
        first = next(filter(None, done))
        for metric in first["metrics"]:
            cells = [
                _cell(each, metric) if each else _error(result, task)
                for each, result in zip(done, results, strict=True)
            ]
            rows.append([task, short(metric), *cells, str(first["split_sizes"]["test"])])
    failed = {task: message for result in results for task, message in result.get("errors", {}).items()}
    table = markdown(header, rows) if rows else ""
    return table + "".join(f"\n{task}: {message}" for task, message in failed.items())


def published_table(results: Sequence[dict]) -> str:
    """Our columns beside MARBLE's, where data and protocol are the published ones; a line names the other tasks."""
    known = [task for task in _tasks(results) if task in PUBLISHED]
    tasks = [task for task in known if any(_comparable(result, task) for result in results)]
    others = ", ".join(task for task in known if task not in tasks)
    without = f"No published numbers beside {others}: data or protocol are not the published ones." if others else ""
    if not tasks:
        return without
    systems = list(next(iter(PUBLISHED.values()))["rows"])
    rows = []
    for task in tasks:
        for metric in PUBLISHED[task]["metrics"]:
            ours = [_cell(result["tasks"][task], metric) if _comparable(result, task) else "–" for result in results]
            rows.append(
                [task, short(metric), *ours, *(PUBLISHED[task]["rows"][system].get(metric, "–") for system in systems)]
            )
    note = "".join(
        f"\n- {result['model']}, {task}: {result['tasks'][task]['comparable_to']}"
        for result in results
        for task in tasks
        if task in result["tasks"]
    )
    note += f"\n\n{without}" if without else ""
    header = ["task", "metric", *(result["model"] for result in results), *systems]
    return f"{markdown(header, rows)}\n\nPublished columns: {SOURCE}.\nOurs are comparable to:{note}"


def _comparable(result: dict, task: str) -> bool:
    return task in result["tasks"] and result["tasks"][task].get("comparable", False)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up in a terminal too."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [header, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def short(metric: str) -> str:
    """A metric's name for a narrow column: r2_arousal -> R² arousal."""
    if metric.startswith("r2_"):
        return f"R² {metric[3:]}"
    return SHORT.get(metric, metric)


def validation_metric(task: dict) -> str:
    """What layers were chosen by: the primary metric, but for beats the average precision of the frames."""
    return "AP of frames" if task["kind"] == "beat" else short(task["primary_metric"])


def layer_name(layer: str) -> str:
    """A layer as readers know it."""
    return "weighted sum" if layer == MIXED else f"layer {layer}"


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
