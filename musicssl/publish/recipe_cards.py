"""A card for each published recipe: its configuration, where each fact was read, and that it was not trained here."""

from pathlib import Path

from huggingface_hub import ModelCardData

from musicssl.errors import UserError
from musicssl.pretraining.config.recipes import load_recipe
from musicssl.probing.results.marble_scores import PUBLISHED
from musicssl.publish.card_text import CITATION, SUMMARIES, TEMPLATES
from musicssl.publish.provenance import Ledger

SOURCES_FILE = "sources.yaml"
OF_AN_ITERATION = ("label_features", "num_clusters", "max_updates")  # each entry of `iterations` has its own
NOT_TRAINED = "Not trained here: this card describes the recipe; there are no weights and no scores of ours."


def write_recipe_cards(recipes: Path, directory: Path) -> list[Path]:
    """Write NAME.md in `directory` for every recipe that its sources.yaml knows.

    Raises:
        UserError: no sources.yaml, no such recipe, or a number in a card that neither holds.
    """
    ledger = Ledger(directory)
    sources = ledger.read(SOURCES_FILE)
    if sources is None:
        raise UserError(f"{directory} holds no {SOURCES_FILE}: it names the facts and where they were read")
    written = []
    for name in sources["recipes"]:
        text, ledger = recipe_card(name, recipes, directory, sources)
        if unsupported := ledger.unsupported(text):
            raise UserError(
                f"the card of {name} shows numbers without a source: {', '.join(sorted(set(unsupported)))}"
            )
        path = directory / f"{name}.md"
        path.write_text(text)
        written.append(path)
    return written


def recipe_card(name: str, recipes: Path, directory: Path, sources: dict) -> tuple[str, Ledger]:
    """The card of one recipe and the ledger of its numbers."""
    entry = sources["recipes"][name]
    recipe = load_recipe(recipes / f"{name}.yaml")
    ledger = Ledger(directory)
    ledger.cite(CITATION, "the paper this project follows")
    facts = [*entry["facts"], *sources[f"every_{recipe['model']}"], *sources["every_model"]]
    scores = _scores(ledger, entry.get("scores"))
    text = TEMPLATES.get_template("recipe_card_template.md").render(
        metadata=ModelCardData(
            library_name="transformers", pipeline_tag="feature-extraction",
            tags=["music", "audio", "self-supervised", recipe["model"]],
        ).to_yaml(),
        name=name,
        summary=SUMMARIES[recipe["model"]],
        trained=NOT_TRAINED,
        configuration=_configuration(ledger, recipe),
        published_as=ledger.cite(entry["published_as"], SOURCES_FILE),
        names_source=ledger.cite(sources["sources"]["marble_v1"], SOURCES_FILE),
        facts=[_fact(ledger, fact, sources["sources"]) for fact in facts],
        scores=scores,
        scores_of=ledger.cite(entry.get("scores", ""), SOURCES_FILE),
        scores_source=ledger.cite(sources["sources"]["marble_paper"], SOURCES_FILE),
        citation=CITATION,
    )  # fmt: skip
    return text, ledger


def _configuration(ledger: Ledger, recipe: dict) -> str:
    flat = {**{k: v for k, v in recipe.items() if k != "model_config"}, **(recipe.get("model_config") or {})}
    overridden = OF_AN_ITERATION if recipe.get("iterations") else ()
    rows = []
    for key, value in flat.items():
        if value is not None and key not in overridden:
            rows.append(f"| `{key}` | {ledger.quote(value, f'recipes/: {key}')} |")
    return "\n".join(["| key | value |", "|---|---|", *rows])


def _fact(ledger: Ledger, fact: dict, sources: dict) -> str:
    kind = next(kind for kind in ("read", "reported", "inferred") if kind in fact)
    text = ledger.cite(fact[kind], f"{SOURCES_FILE}: {fact['source']}")
    source = ledger.cite(sources[fact["source"]], SOURCES_FILE)
    label = {"read": "", "reported": " (reported by others)", "inferred": " (inferred by us)"}[kind]
    return f"{text}{label} Source: {source}."


def _scores(ledger: Ledger, system: str | None) -> list[tuple[str, str, str]]:
    """The published row of a system, from the table that the probing report shows too."""
    return [
        (task, metric, ledger.quote(score, f"musicssl/probing/published.py: {system}"))
        for task, published in PUBLISHED.items()
        for metric, score in published["rows"].get(system, {}).items()
        if system
    ]
