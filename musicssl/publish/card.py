"""Write the card of a model, from measured files only.

Every number of a card goes through a `Ledger`, which records its file and field; a card with any other number is not
written.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from safetensors import safe_open

from musicssl.errors import UserError
from musicssl.files import write_json, write_text
from musicssl.publish.card_pictures import draw_layers, draw_training
from musicssl.publish.card_text import CITATION, STOCK_TYPES, SUMMARIES, TEMPLATES
from musicssl.publish.provenance import Ledger
from musicssl.tables import Table

NUMBERS_FILE = "card_numbers.json"
# What a card shows of config.json, the recipe and environment.json, with the names that a reader sees.
MODEL_FIELDS = {
    "num_hidden_layers": "transformer layers", "hidden_size": "width", "num_attention_heads": "attention heads",
    "front_end_features": "front end", "sampling_rate": "sampling rate, Hz",
    "average_top_k_layers": "target layers", "ema_end_decay": "teacher's final decay",
    "num_clusters": "clusters", "label_features": "features that were clustered", "label_rate_hz": "label rate, Hz",
    "projection_dim": "projection width", "auxiliary_dim": "width of the auxiliary target",
}  # fmt: skip
RECIPE_FIELDS = {
    "recipe_name": "recipe", "init_from": "initialized from", "train_data": "training data",
    "validation_data": "validation data", "crop_seconds": "crop, s", "mask_probability": "mask probability",
    "mask_span": "mask span, frames", "max_updates": "updates planned",
    "audio_seconds_per_update": "audio per update, s", "learning_rate": "peak learning rate", "schedule": "schedule",
    "weight_decay": "weight decay", "mixed_precision": "mixed precision", "seed": "seed",
}  # fmt: skip
ENVIRONMENT_FIELDS = {
    "hardware": "hardware", "processes": "processes", "train_clips": "training clips", "torch": "torch",
    "transformers": "transformers",
}  # fmt: skip


def write_card(
    directory: str | Path, model_id: str | None = None, license: str | None = None, data_description: str = ""
) -> Path:
    """Write README.md, its pictures and `card_numbers.json` for a run or a published model.

    Args:
        directory: holds config.json and model.safetensors, and any of recipe.yaml, metrics.jsonl, results.json,
            environment.json and codebook/.
        model_id: the Hub id in the examples; by default the name of the directory.
        license: the license of the weights, as the Hub spells it; without one the card says that none was chosen.
        data_description: what the publisher says of the training data, shown as a quotation.

    Returns:
        The path of README.md.

    Raises:
        UserError: there is no configuration, or the card would show a number without a source.
    """
    directory = Path(directory)
    ledger = Ledger(directory)
    config = ledger.read("config.json")
    if config is None or config["model_type"] not in SUMMARIES:
        raise UserError(f"{directory} holds no config.json of a music2vec or musicHuBERT model")
    pictures = {
        "training_picture": draw_training(directory, config["model_type"]),
        "layers_picture": draw_layers(directory),
    }
    text = render(ledger, config, model_id or directory.name, license, data_description, pictures)
    ledger.check(text, directory)
    write_json(directory / NUMBERS_FILE, ledger.entries)
    write_text(directory / "README.md", text)
    return directory / "README.md"


def render(
    ledger: Ledger, config: dict, model_id: str, license: str | None, data_description: str, pictures: dict
) -> str:
    """The card's text; every number in it is in the ledger."""
    recipe = ledger.read("recipe.yaml") or {}
    # In a run of several iterations, the model is that of the newest one, which has a recipe of its own.
    of_model = "iteration_recipe.yaml" if (ledger.directory / "iteration_recipe.yaml").is_file() else "recipe.yaml"
    own_recipe = ledger.read(of_model) or {}
    metrics = ledger.read("metrics.jsonl") or []
    results = ledger.read("results.json") or {"tasks": {}, "errors": {}}
    family = config["model_type"]
    ledger.cite(CITATION, "the paper this project follows")
    for words in (data_description, model_id, license or ""):
        ledger.cite(words, "the publisher")
    title = ledger.cite(str(recipe.get("recipe_name") or model_id), "recipe.yaml: recipe_name")
    return TEMPLATES.get_template("card_template.md").render(
        metadata=_metadata(ledger, title, family, license, results).to_yaml(),
        title=title,
        summary=SUMMARIES[family],
        package=family,
        model_id=model_id,
        stock_type=None if config.get("front_end_features") else STOCK_TYPES[family],
        normalizes=bool((ledger.read("preprocessor_config.json") or {}).get("do_normalize")),
        model_table=_table([*_fields(ledger, "config.json", config, MODEL_FIELDS), *_parameters(ledger)]),
        training_table=_table([
            *_fields(ledger, of_model, own_recipe, RECIPE_FIELDS),
            *_iterations(ledger, recipe.get("iterations") or []), *_progress(ledger, metrics),
            *_fields(ledger, "environment.json", ledger.read("environment.json") or {}, ENVIRONMENT_FIELDS),
        ]) or "There is no recipe.yaml, so that the training settings are not known.",
        data_description=data_description,
        has_metrics=bool(metrics),
        curve_ends=_curve_ends(ledger, metrics),
        codebooks=_codebooks(ledger),
        scores=_scores(ledger, results),
        failed=[
            ledger.cite(f"{task} could not be measured: {message}", f"results.json: errors/{task}")
            for task, message in results.get("errors", {}).items()
        ],
        limits=_limits(ledger, own_recipe, metrics, results),
        license_note=f"Weights: {license}." if license else "The publisher has chosen no license for the weights yet.",
        citation=CITATION,
        **pictures,
    )  # fmt: skip


def _metadata(ledger: Ledger, title: str, family: str, license: str | None, results: dict) -> ModelCardData:
    evaluations = []
    for task, result, metric, score in _measured(results):
        value = round(score["mean"], 3)  # as the table prints it, in percent with one decimal
        ledger.quote(value, f"results.json: tasks/{task}/metrics/{metric}/mean")
        name = ledger.cite(result.get("title", task), f"results.json: tasks/{task}/title")
        evaluations.append(EvalResult(
            task_type="audio-classification", dataset_type=task, dataset_name=name,
            metric_type=metric, metric_name=metric, metric_value=value,
        ))  # fmt: skip
    return ModelCardData(
        model_name=title, library_name="transformers", license=license, eval_results=evaluations or None,
        pipeline_tag="feature-extraction", tags=["music", "audio", "self-supervised", family],
    )  # fmt: skip


def _measured(results: dict) -> Iterator[tuple[str, dict, str, dict]]:
    """Task, its result, metric and score, wherever there is a score."""
    for task, result in results["tasks"].items():
        for metric, score in result["metrics"].items():
            if score["mean"] is not None:
                yield task, result, metric, score


def _fields(ledger: Ledger, name: str, values: dict, shown: dict[str, str]) -> list[tuple[str, str]]:
    rows = []
    for key, label in shown.items():
        if values.get(key) not in (None, "", [], 0, False):
            value = values[key]
            parts = value if isinstance(value, list) else [value]
            # Only the name of a folder: its full path would show how the publisher's disk is organized.
            parts = [Path(part).name if isinstance(part, str) and Path(part).is_absolute() else part for part in parts]
            texts = [ledger.quote(part, f"{name}: {key}", ".6g" if isinstance(part, float) else "") for part in parts]
            rows.append((label, ", ".join(texts)))
    return rows


def _iterations(ledger: Ledger, iterations: list[dict]) -> list[tuple[str, str]]:
    """The settings of each of HuBERT's iterations in the recipe."""
    rows = []
    for number, iteration in enumerate(iterations, start=1):
        source = f"recipe.yaml: iterations, {number}"
        cells = _fields(ledger, source, iteration, dict(zip(iteration, iteration, strict=True)))
        label = ledger.cite(f"iteration {number} of the recipe", source)
        rows.append((label, "; ".join(f"{name} {value}" for name, value in cells)))
    return rows


def _parameters(ledger: Ledger) -> list[tuple[str, str]]:
    path = ledger.directory / "model.safetensors"
    if not path.is_file():
        return []
    with safe_open(path, framework="np") as tensors:
        sizes = {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    prefix = ("data2vec_audio.", "hubert.")
    encoder = sum(size for name, size in sizes.items() if name.startswith(prefix)) or sum(sizes.values())
    return [("encoder parameters", ledger.quote(encoder, "model.safetensors: shapes of the encoder", ","))]


def _progress(ledger: Ledger, metrics: list[dict]) -> list[tuple[str, str]]:
    if not metrics:
        return []
    rows = [("updates done", ledger.quote(metrics[-1]["update"], "metrics.jsonl: update, last row"))]
    hours = [row["audio_hours"] for row in metrics if "audio_hours" in row]
    if hours:
        rows.append(("audio processed, hours", ledger.quote(hours[-1], "metrics.jsonl: audio_hours, last row", ".3g")))
    speeds = [row["perf/audio_seconds_per_second"] for row in metrics if "perf/audio_seconds_per_second" in row]
    if speeds:
        source = "metrics.jsonl: perf/audio_seconds_per_second, median of the rows"
        rows.append(("throughput, audio s per s", ledger.quote(statistics.median(speeds), source, ".3g")))
    return rows


def _curve_ends(ledger: Ledger, metrics: list[dict]) -> str:
    """The first and last value of every loss, accuracy, standard deviation and perplexity."""
    names = {name for row in metrics for name in row if name.removeprefix("validation/").partition("/")[0] in
             ("loss", "accuracy", "target", "prediction", "labels", "label_perplexity")}  # fmt: skip
    ends = []
    for name in sorted(names):
        rows = [row for row in metrics if row.get(name) is not None]
        cells = [
            text for row in (rows[0], rows[-1]) for text in (
                ledger.quote(row["update"], f"metrics.jsonl: update of {name}"),
                ledger.quote(row[name], f"metrics.jsonl: {name} at update {row['update']}", ".4g"),
            )
        ]  # fmt: skip
        ends.append((ledger.cite(f"`{name}`", "metrics.jsonl"), *cells))
    return _markdown(("metric", "update", "first", "update", "last"), ends)


def _codebooks(ledger: Ledger) -> str:
    shown = {
        "feature": "clustered", "feature_rate_hz": "rate, Hz", "num_clusters": "clusters", "dimension": "dimensions",
        "num_frames_used": "frames", "objective": "mean squared distance", "usage_perplexity": "cluster perplexity",
        "unused_clusters": "unused clusters", "hash": "hash",
    }  # fmt: skip
    tables = []
    for path in sorted((ledger.directory / "codebook").rglob("codebook.json")):
        name = str(path.relative_to(ledger.directory))
        tables.append(_table(_fields(ledger, name, ledger.read(name), shown)))
    return "\n\n".join(table for table in tables if table)


def _scores(ledger: Ledger, results: dict) -> str:
    rows = []
    for task, result, metric, score in _measured(results):
        where = f"results.json: tasks/{task}"
        source = f"{where}/metrics/{metric}"
        interval = [ledger.quote(100 * end, f"{source}/ci95", ".1f") for end in score.get("ci95") or ()]
        rows.append((
            ledger.cite(result.get("title", task), f"{where}/title"), metric,
            ledger.quote(100 * score["mean"], f"{source}/mean", ".1f"), " to ".join(interval) or "–",
            ledger.quote(result["layer"], f"{where}/layer"),
            ledger.quote(result["split_sizes"]["test"], f"{where}/split_sizes/test"),
            ledger.cite(result.get("comparable_to") or "–", f"{where}/comparable_to"),
        ))  # fmt: skip
    return _markdown(("task", "metric", "score", "interval", "layer", "test clips", "comparable to"), rows)


def _limits(ledger: Ledger, recipe: dict, metrics: list[dict], results: dict) -> list[str]:
    limits = ["The model may represent music that differs from its training data poorly."]
    if metrics and recipe.get("max_updates") and metrics[-1]["update"] < recipe["max_updates"]:
        limits.append("The run stopped before the updates in its recipe were done.")
    if not metrics:
        limits.append("There is no record of its training.")
    not_comparable = [t for t, r in results["tasks"].items() if str(r.get("comparable_to", "")).startswith("not ")]
    if not_comparable:
        limits.append(f"Not comparable with published scores: {', '.join(not_comparable)} (the table says why).")
    limits.append("Its features describe sound. They were not tested for identifying artists or listeners.")
    return limits


def _table(rows: list[tuple[str, str]]) -> str:
    return _markdown(("setting", "value"), rows)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return Table(header, rows).markdown(aligned=False) if rows else ""
