"""Write a card for each published recipe: its configuration, and the source of each fact; nothing was trained here."""

from pathlib import Path

from huggingface_hub import ModelCardData

from musicssl.errors import UserError
from musicssl.files import write_text
from musicssl.pretraining.config.recipes import load_recipe
from musicssl.probing.results.marble_scores import PUBLISHED
from musicssl.publish.card_text import CITATION, SUMMARIES, TEMPLATES
from musicssl.publish.provenance import Ledger
from musicssl.tables import Table

SOURCES_FILE = "sources.yaml"
OF_AN_ITERATION = ("label_features", "num_clusters", "max_updates")  # each entry of `iterations` has its own


def write_recipe_cards(recipes: Path, directory: Path) -> list[Path]:
    """Write `directory`/NAME.md for every recipe named in `directory`/sources.yaml.

    Args:
        recipes: the folder of the recipes.

    Raises:
        UserError: sources.yaml or a recipe is missing, or a card would show a number without a source.
    """
    ledger = Ledger(directory)
    sources = ledger.read(SOURCES_FILE)
    if sources is None:
        raise UserError(f"{directory} holds no {SOURCES_FILE}, which names the facts and their sources")
    written = []
    for name in sources["recipes"]:
        text, ledger = recipe_card(name, recipes, directory, sources)
        ledger.check(text, name)
        path = directory / f"{name}.md"
        write_text(path, text)
        written.append(path)
    return written


def recipe_card(name: str, recipes: Path, directory: Path, sources: dict) -> tuple[str, Ledger]:
    """The text of a recipe's card, and the ledger of its numbers."""
    entry = sources["recipes"][name]
    recipe = load_recipe(recipes / f"{name}.yaml")
    ledger = Ledger(directory)
    ledger.cite(CITATION, "the paper this project follows")
    facts = [*entry["facts"], *sources[f"every_{recipe['model']}"]]
    scores = _scores(ledger, entry.get("scores"))
    text = TEMPLATES.get_template("recipe_card_template.md").render(
        metadata=ModelCardData(
            library_name="transformers", pipeline_tag="feature-extraction",
            tags=["music", "audio", "self-supervised", recipe["model"]],
        ).to_yaml(),
        name=name,
        summary=SUMMARIES[recipe["model"]],
        configuration=_configuration(ledger, recipe),
        published_as=ledger.cite(entry["published_as"], SOURCES_FILE),
        names_source=ledger.cite(sources["sources"]["marble_v1"], SOURCES_FILE),
        facts=[_fact(ledger, fact, sources["sources"]) for fact in facts],
        shared_facts=[_fact(ledger, fact, sources["sources"]) for fact in sources["every_model"]],
        scores=scores,
        scores_of=ledger.cite(entry.get("scores", ""), SOURCES_FILE),
        scores_note=ledger.cite(entry.get("scores_note", ""), SOURCES_FILE),
        scores_source=ledger.cite(sources["sources"]["marble_paper"], SOURCES_FILE),
        citation=CITATION,
    )  # fmt: skip
    return text, ledger


def _configuration(ledger: Ledger, recipe: dict) -> str:
    flat = {**{k: v for k, v in recipe.items() if k != "model_config"}, **(recipe.get("model_config") or {})}
    overridden = OF_AN_ITERATION if recipe.get("iterations") else ()
    rows = []
    for key, value in flat.items():
        if value is not None and key not in ("iterations", *overridden):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((f"`{key}`", ledger.quote(text, f"musicssl/recipes: {key}")))
    for number, iteration in enumerate(recipe.get("iterations") or [], start=1):
        source = f"musicssl/recipes: iterations, {number}"
        settings = ", ".join(f"{key} {value}" for key, value in iteration.items())
        rows.append((ledger.cite(f"`iterations`, number {number}", source), ledger.cite(settings, source)))
    return Table(("key", "value"), rows).markdown(aligned=False)


def _fact(ledger: Ledger, fact: dict, sources: dict) -> str:
    kind = next(kind for kind in ("read", "reported", "inferred") if kind in fact)
    text = ledger.cite(fact[kind], f"{SOURCES_FILE}: {fact['source']}")
    source = ledger.cite(sources[fact["source"]], SOURCES_FILE)
    label = {"read": "Source", "reported": "Reported in", "inferred": "Inferred from"}[kind]
    return f"{text} {label}: {source}."


def _scores(ledger: Ledger, system: str | None) -> str:
    """The published scores of a system, from the table that the probing report shows too."""
    rows = [
        (task, metric, ledger.quote(score, f"musicssl/probing/results/marble_scores.py: {system}"))
        for task, published in PUBLISHED.items()
        for metric, score in published["rows"].get(system, {}).items()
        if system
    ]
    return Table(("task", "metric", "score"), rows).markdown(aligned=False) if rows else ""
