"""What version 0.1.0 left behind still works: its recipes, its run directories, its codebooks."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from musicssl.errors import UserError
from musicssl.pretraining.config import recipes
from musicssl.pretraining.config.parsing import parse_arguments
from musicssl.pretraining.config.settings import FORMER_NAMES
from musicssl.pretraining.files.checkpoint import list_checkpoints
from musicssl.pretraining.files.metrics import read_metrics
from musicssl.pretraining.iterations import train_iterations
from musicssl.pretraining.model.device import build_accelerator

OLD = Path(__file__).parents[1] / "fixtures" / "version_0_1_0"


@pytest.fixture
def old_run(tmp_path, make_tones, monkeypatch) -> list[str]:
    """The interrupted run in the working directory, beside its audio: the command that started it."""
    shutil.copytree(OLD / "run", tmp_path / "run")
    make_tones(tmp_path / "tones", 4, seconds=1.5)
    monkeypatch.chdir(tmp_path)
    # What the earlier command line was, spelled as then.
    return ["--config", str(OLD / "recipe.yaml"), "--train-data", "tones", "--output_dir", "run", "--no_keep_best",
            "--recipe_name", "mine", "--kmeans_standardise", "true"]  # fmt: skip


def run(command: list[str]):
    AcceleratorState._reset_state(True)
    (config,) = parse_arguments(command)
    return train_iterations(config, build_accelerator(config))


def test_a_recipe_resolves_to_the_same_values(tmp_path):
    (tmp_path / "mine.yaml").write_text((OLD / "recipe.yaml").read_text())
    text = (OLD / "iterations.yaml").read_text().replace("extends: recipe.yaml", "extends: mine.yaml")
    (tmp_path / "mine_iterations.yaml").write_text(text)
    flags = ["--train_data", "a", "b", "--output_dir", "run"]
    flags += ["--model_config", "activation_dropout=0.1", "conv_bias=true"]
    (config,) = parse_arguments(["--config", str(tmp_path / "mine_iterations.yaml"), *flags])
    recipes.write_recipe(config, tmp_path / "resolved.yaml")
    now = yaml.safe_load((tmp_path / "resolved.yaml").read_text())
    then = yaml.safe_load((OLD / "iterations_resolved.yaml").read_text())
    assert now.pop("schema_version") == recipes.SCHEMA_VERSION
    assert now == {FORMER_NAMES.get(key, key): value for key, value in then.items()}
    # The resolved recipe of then is a recipe too.
    assert recipes.config_of_recipe(OLD / "iterations_resolved.yaml") == config


def test_an_interrupted_run_ends_where_it_would_have_ended_then(old_run, capsys):
    """Bit for bit on the machine that wrote the fixture; elsewhere matrix products round otherwise."""
    result = run(old_run)
    assert (result.finished, result.update) == (True, 6)
    assert "updates 4 to 6" in capsys.readouterr().out and not list(Path("run").glob("superseded*"))
    found, expected = load_file("run/model.safetensors"), load_file(OLD / "final.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-4, msg=name)
    assert [row["update"] for row in read_metrics(Path("run/metrics.jsonl")) if "learning_rate" in row] == [2, 4, 6]
    recipe = yaml.safe_load((list_checkpoints(Path("run"))[-1] / "recipe.yaml").read_text())
    assert recipe["schema_version"] == recipes.SCHEMA_VERSION and recipe["kmeans_standardize"] is True
    assert recipe["micro_batch_clips"] == 2


def test_its_codebooks_are_taken_and_those_of_other_settings_are_not(old_run):
    shutil.rmtree("run/checkpoint-000004")
    assert run([*old_run, "--max_updates", "3"]).finished
    shutil.rmtree("run/checkpoint-000003")
    with pytest.raises(UserError, match=r"kmeans_standardize True \(now False\).*--output_dir"):
        run([*old_run, "--kmeans_standardize", "false"])


def test_iterations_resume_with_the_earlier_or_the_current_name_of_a_flag(old_run):
    command = [*old_run[:-2], "--output_dir", "new", "--warmup_updates", "1", "--iterations"]
    old = "{features: mfcc39, clusters: 8, updates: 2, kmeans_standardise: true}"
    new = old.replace("standardise", "standardize")
    assert parse_arguments([*command, old]) == parse_arguments([*command, new])
    assert run([*command, old]).finished
    recipe = Path("new/iteration-1/checkpoint-000002/recipe.yaml")
    recipe.write_text(recipe.read_text().replace("standardize", "standardise"))  # as 0.1.0 wrote it
    assert run([*command, old]).finished and run([*command, new]).finished


def test_settings_of_music2vec_that_had_no_effect_are_dropped(small_run, tmp_path):
    former = {"drop_masked_frames": False, "decoder_layers": 4, "decoder_dim": 8, "decoder_kernel": 7}
    config = small_run("music2vec", tmp_path / "small", "--max_updates", "2")
    AcceleratorState._reset_state(True)
    assert train_iterations(config, build_accelerator(config)).finished
    then = config.with_flags(model_config={**former, "decoder_groups": 2}).flags()
    text = yaml.safe_dump(then)  # without a version, as 0.1.0 wrote it
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "small/checkpoint-000002/recipe.yaml").write_text(text)
    assert run(["--config", str(tmp_path / "mine.yaml")]).finished
    (tmp_path / "child.yaml").write_text("extends: music2vec_tiny\nmodel_config: {drop_masked_frames: true}\n")
    with pytest.raises(
        UserError, match="child.yaml: model_config: drop_masked_frames is true.*version 0.1.0"
    ) as error:
        recipes.config_of_recipe(tmp_path / "child.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["", "iterations:\n- "])
def test_both_names_of_a_flag_in_one_recipe_are_refused(where, tmp_path):
    (tmp_path / "mine.yaml").write_text(f"{where}{{kmeans_standardise: true, kmeans_standardize: false}}\n")
    with pytest.raises(UserError, match="mine.yaml: 'kmeans_standardise' and 'kmeans_standardize' are two names"):
        recipes.config_of_recipe(tmp_path / "mine.yaml")


def test_a_changed_setting_is_refused_as_before(old_run):
    differences = "--kmeans_standardize was True, is False; --learning_rate was 0.001, is 0.002"
    with pytest.raises(UserError, match=differences):
        run([*old_run, "--no-tf32", "--tf32", "true", "--learning_rate", "2e-3", "--kmeans-standardize", "no"])


@pytest.fixture
def two_versions_later(monkeypatch):
    """A code that has changed a default twice since version 1, and has added a flag."""
    monkeypatch.setattr(recipes, "SCHEMA_VERSION", 3)
    changed = {1: {"mask_span": 3, "masks_per_clip": 2}, 2: {"mask_span": 4, "crop_start_multiple": 320}}
    monkeypatch.setattr(recipes, "DEFAULTS_OF", changed)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("", (3, 2, 320)), ("schema_version: 1", (3, 2, 320)), ("schema_version: 2", (4, 1, 320)),
     ("schema_version: 3", (10, 1, 1))],
)  # fmt: skip
def test_a_recipe_has_the_defaults_of_its_version(version, expected, two_versions_later, tmp_path):
    (tmp_path / "base.yaml").write_text("schema_version: 3\nmodel: music2vec\n")
    (tmp_path / "recipe.yaml").write_text(f"extends: base\n{version}\n")
    config = recipes.config_of_recipe(tmp_path / "recipe.yaml")
    found = config.masking.mask_span, config.masking.masks_per_clip, config.data.crop_start_multiple
    assert found == expected
    (tmp_path / "recipe.yaml").write_text(f"extends: base\nmask_span: 7\n{version}\n")
    assert recipes.config_of_recipe(tmp_path / "recipe.yaml").masking.mask_span == 7


def test_a_run_resumes_with_the_defaults_of_its_version(old_run, monkeypatch):
    monkeypatch.setitem(recipes.DEFAULTS_OF, 1, {"masks_per_clip": 2})
    recipe = Path("run/checkpoint-000004/recipe.yaml")
    recipe.write_text(recipe.read_text().replace("masks_per_clip: 1\n", ""))  # as if version 1 did not have it
    with pytest.raises(UserError, match="with other settings: --masks_per_clip was 2, is 1. Restore"):
        run([*old_run, "--masks_per_clip", "1"])
    assert run(old_run).update == 6


def test_a_recipe_of_a_newer_version_is_refused_in_one_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"schema_version: {recipes.SCHEMA_VERSION + 1}\nmodel: music2vec\n")
    with pytest.raises(UserError, match="recipe.yaml: schema_version is 3, .* reads 1 to 2; install a newer") as error:
        parse_arguments(["--config", str(tmp_path / "recipe.yaml"), "--dry_run"])
    assert "\n" not in str(error.value)


def test_recipes_of_the_package_are_of_the_current_version(project_root):
    for path in (project_root / "musicssl" / "recipes").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["schema_version"] == recipes.SCHEMA_VERSION, path.name
