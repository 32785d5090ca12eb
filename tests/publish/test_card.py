"""A model card shows what the run's files hold, and no number that they do not."""

import json
import re
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from musicssl.commands.main import main
from musicssl.errors import UserError
from musicssl.model_files import save_for_hub
from musicssl.publish.card import write_card
from musicssl.publish.card_text import SUMMARIES
from musicssl.publish.provenance import Ledger, unsupported_numbers
from musicssl.publish.recipe_cards import recipe_card
from musicssl.publish.tree import assemble

RESULTS = {
    "model": "runs/tiny",
    "versions": {},
    "tasks": {
        "gtzan_genre": {
            "title": "GTZAN genre", "layer": "2", "comparable_to": "not MARBLE v1: 3 clips missing",
            "metrics": {"accuracy": {"mean": 0.61234, "ci95": [0.5512, 0.6707], "seeds": [0.61, 0.62]}},
            "layers": {"0": {"validation": 0.41}, "1": {"validation": 0.52}, "2": {"validation": 0.6},
                       "all": {"validation": 0.59}},
            "split_sizes": {"train": 443, "validation": 197, "test": 287},
        },
        "gs": {
            "title": "GiantSteps key", "layer": "all", "comparable_to": "MARBLE v1",
            "metrics": {"key_score": {"mean": 0.3307, "ci95": None, "seeds": [0.3307]}, "vote": {"mean": None}},
            "layers": {"0": {"validation": 0.2}, "1": {"validation": 0.3}},
            "split_sizes": {"train": 923, "validation": 236, "test": 604},
        },
    },
    "errors": {"emo": "no clips in validation (first reason: 12 files are damaged)"},
}  # fmt: skip


@pytest.fixture
def run(tiny_models, tmp_path):
    """A run directory as training and probing leave it."""
    directory = tmp_path / "tiny"
    save_for_hub(tiny_models["music2vec"], directory)
    rows = [
        {"update": 10 * n, "loss/total": 3.0 / n, "target/std": 0.31 + n / 100, "audio_hours": n / 7,
         "perf/audio_seconds_per_second": 40.0 + n, "perf/mfu": 0.1}
        for n in range(1, 4)
    ] + [{"update": 30, "validation/loss/total": 1.17}]  # fmt: skip
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {"recipe_name": "music2vec_tiny", "train_data": ["/home/me/music/pretrain"], "max_updates": 300,
              "seed": 1, "learning_rate": 1e-3, "crop_seconds": 4}  # fmt: skip
    (directory / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (directory / "environment.json").write_text(json.dumps({"hardware": "8 x NVIDIA H200", "train_clips": 68}))
    (directory / "results.json").write_text(json.dumps(RESULTS))
    return directory


def test_the_card_holds_the_files_numbers_and_valid_metadata(run):
    text = write_card(run, "tester/tiny", "cc-by-4.0", "68 tracks that I recorded in 2024").read_text()
    assert "| GTZAN genre | accuracy | 61.2 | 55.1 to 67.1 | 2 | 287 | not MARBLE v1: 3 clips missing |" in text
    assert "| GiantSteps key | key_score | 33.1 | – | all | 604 | MARBLE v1 |" in text
    assert (
        "| `loss/total` | 10 | 3 | 30 | 1 |" in text and "| `validation/loss/total` | 30 | 1.17 | 30 | 1.17 |" in text
    )
    assert "| updates done | 30 |" in text and "| throughput, audio s per s | 42 |" in text
    assert "| hardware | 8 x NVIDIA H200 |" in text and "recorded in 2024" in text
    assert "| training data | pretrain |" in text and "/home/me" not in text
    assert "stopped before the updates" in text and "emo could not be measured" in text
    assert 'subfolder="stock"' in text and "trust_remote_code=True" in text and "(training.png)" in text
    assert (run / "training.png").stat().st_size > 10_000 and (run / "layers.png").stat().st_size > 5_000

    metadata = ModelCard.load(run / "README.md").data
    assert metadata.license == "cc-by-4.0" and metadata.library_name == "transformers"
    scores = {(e.dataset_type, e.metric_type): e.metric_value for e in metadata.eval_results}
    assert scores == {("gtzan_genre", "accuracy"): 0.612, ("gs", "key_score"): 0.331}


def test_every_number_of_the_card_can_be_traced_and_a_lie_is_found(run):
    text = write_card(run).read_text()
    numbers = json.loads((run / "card_numbers.json").read_text())
    assert numbers["61.2"] == "results.json: tasks/gtzan_genre/metrics/accuracy/mean"
    assert unsupported_numbers(text, numbers) == []
    for honest, lie in [("61.2", "71.2"), ("55.1 to", "45.1 to"), ("| 287 |", "| 290 |"), ("1.17", "0.17")]:
        assert honest in text
        found = unsupported_numbers(text.replace(honest, lie), numbers)
        assert found and set(found) == set(re.findall(r"[\d.]+", lie)), lie
    assert unsupported_numbers(text + "\nIt reaches 97 % everywhere.", numbers) == ["97"]


def test_a_card_with_a_number_from_nowhere_is_not_written(run, monkeypatch):
    monkeypatch.setitem(SUMMARIES, "music2vec", "Best of 1234.")
    with pytest.raises(UserError, match="without a source: 1234"):
        write_card(run)
    assert not (run / "README.md").exists()


@given(st.decimals(0, 1_000_000, places=3))
def test_any_number_that_nobody_handed_out_is_found(number):
    ledger = Ledger(directory=None)
    text = f"music2vec has layer6 and scores {ledger.quote('12.5', 'a')} on MARBLE v1, then {number}."
    ledger.cite("MARBLE v1", "b")
    assert ledger.unsupported(text) == ([] if str(number) in ("12.5", "12.500") else [str(number)])


def test_without_measurements_nothing_is_claimed(tiny_models, tmp_path):
    save_for_hub(tiny_models["musichubert"], tmp_path)
    text = write_card(tmp_path, "tester/bare").read_text()
    assert "nothing is claimed about its training" in text and "Not probed" in text
    assert "has chosen no license" in text and "model-index" not in text
    with pytest.raises(UserError, match=r"no config\.json"):
        write_card(tmp_path / "stock" / "nowhere")


def test_assembling_a_run_gives_the_published_tree(run, tmp_path):
    (run / "checkpoint-000030").mkdir()
    (run / "checkpoint-000030" / "optimizer.pt").write_bytes(b"big")
    shutil.rmtree(run / "stock")  # a run has none: it is made here
    assemble(run, tmp_path / "tree")
    names = sorted(str(p.relative_to(tmp_path / "tree")) for p in (tmp_path / "tree").rglob("*") if p.is_file())
    assert names == [
        "README.md", "card_numbers.json", "config.json", "configuration_music2vec.py", "environment.json",
        "feature_extraction_music2vec.py", "layers.png", "metrics.jsonl", "model.safetensors",
        "modeling_music2vec.py", "preprocessor_config.json", "recipe.yaml", "results.json", "stock/config.json",
        "stock/model.safetensors", "stock/preprocessor_config.json", "training.png",
    ]  # fmt: skip


def test_the_twelve_recipe_cards_are_up_to_date_and_sourced(project_root):
    """`musicssl card --recipes musicssl/recipes` wrote them, from the recipes and from sources.yaml only."""
    cards = project_root / "model_cards"
    sources = yaml.safe_load((cards / "sources.yaml").read_text())
    assert len(sources["recipes"]) == 12 == len(list(cards.glob("*.md")))
    for name in sources["recipes"]:
        text, ledger = recipe_card(name, project_root / "musicssl" / "recipes", cards, sources)
        assert (cards / f"{name}.md").read_text() == text, f"{name}: run `musicssl card --recipes musicssl/recipes`"
        assert ledger.unsupported(text) == [] and "Not trained here" in text
    # What the reference sheet marks as remembered, not read, must not come back as a published score.
    everything = "".join(path.read_text() for path in cards.glob("musichubert*.md"))
    assert "88.6" not in everything and "14.7" not in everything


def test_the_card_command_says_what_to_give(tmp_path, capsys):
    assert main(["card"]) == 2
    assert "give a run's directory, or --recipes" in capsys.readouterr().err
    assert main(["card", "--recipes", str(tmp_path), "--output_dir", str(tmp_path)]) == 2
    assert "sources.yaml" in capsys.readouterr().err
