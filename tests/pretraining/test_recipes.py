"""Recipes: what they resolve to, what a wrong one is told, and one update of each at reduced width."""

import pytest
import torch
from accelerate.state import AcceleratorState

from musicssl.errors import UserError
from musicssl.files import whole_file
from musicssl.pretraining.config.parsing import parse_arguments
from musicssl.pretraining.config.recipes import load_recipe, write_recipe
from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.masking import span_mask
from musicssl.pretraining.model.building import build_model, build_model_config
from musicssl.pretraining.model.device import build_accelerator
from musicssl.pretraining.planning.cost import count_parameters, crop_cost
from musicssl.pretraining.training.optimizer import make_optimizer

# Name -> what differs from its family's vanilla (the twelve configurations in MARBLE v1).
PUBLISHED = {
    "music2vec_400k_prob65_span10_target8": {},
    "music2vec_800k": {"max_updates": 800_000},
    "music2vec_crop5s": {"crop_seconds": 5.0},
    "music2vec_prob50": {"mask_probability": 0.5},
    "music2vec_prob80": {"mask_probability": 0.8},
    "music2vec_span5": {"mask_span": 5},
    "music2vec_span15": {"mask_span": 15},
    "music2vec_target12": {"model_config": {"average_top_k_layers": 12}},
    "musichubert_k500": {},
    "musichubert_k500_mfcc60": {"label_features": ["mfcc60"]},
    "musichubert_k2000_iter1": {"num_clusters": [2000]},
    "musichubert_k2000_iter2": {"num_clusters": [2000]},
}
VANILLA = {"music2vec": "music2vec_400k_prob65_span10_target8", "musichubert": "musichubert_k500"}


@pytest.fixture(autouse=True)
def _in_project(project_root, monkeypatch):
    monkeypatch.chdir(project_root)


def parse(*flags):
    return parse_arguments([str(flag) for flag in flags])[0]


def model_config_of(config):
    return build_model_config(config.model, config.labels.num_clusters)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe_changes_what_its_name_says_and_trains_one_update(name):
    """At reduced width (the depth stays, so that every target layer exists)."""
    vanilla = load_recipe(VANILLA[name.split("_")[0]])
    recipe = load_recipe(name)
    for key, value in PUBLISHED[name].items():
        merged = {**vanilla[key], **value} if isinstance(value, dict) else value
        assert recipe[key] == merged
    unexpected = {key for key in recipe if recipe[key] != vanilla.get(key)} - PUBLISHED[name].keys()
    assert unexpected <= {"recipe_name", "iterations"}

    config = parse(
        "--config", name, "--dry_run", "--model_config", "hidden_size=24", "num_attention_heads=2",
        "intermediate_size=32", "num_conv_pos_embedding_groups=4", "conv_dim=[8,8,8,8,8,8,8]",
    )  # fmt: skip
    model_config = model_config_of(config)
    model = build_model(config.model, model_config, config.optimisation.seed)
    assert model_config.num_hidden_layers == 12 and model_config.layerdrop == 0.05
    optimizer = make_optimizer(model, config.optimisation.learning_rate)
    waveforms = torch.randn(2, 32000, generator=torch.Generator().manual_seed(0))
    frames = int(model._get_feat_extract_output_lengths(32000))
    masking = config.masking
    mask = span_mask(2, frames, masking.mask_probability, masking.mask_span, masking.min_mask_spans, torch.Generator())
    inputs = {"input_values": waveforms, "mask_time_indices": mask}
    if config.model.model == "musichubert":
        inputs["labels"] = torch.arange(frames).expand(2, -1) % config.labels.num_clusters[0]
    else:
        model.update_teacher(0)
    before = model.base_model.masked_spec_embed.detach().clone()
    loss = model(**inputs).loss
    loss.backward()
    optimizer.step()
    assert loss.isfinite() and not torch.equal(before, model.base_model.masked_spec_embed)


def test_costs_are_those_of_the_cost_sheet():
    """Parameters and FLOPs of both base models (algorithms sheet, E1 and E2)."""
    expected = {"music2vec": (93_164_288, 590_592, 1836.2, 259.3), "musichubert": (94_371_712, 325_888, 1499.2, 214.9)}
    for model, (encoder, head, gflop_30s, gflop_5s) in expected.items():
        config = parse("--config", VANILLA[model], "--dry_run")
        model_config = model_config_of(config)
        with torch.device("meta"):
            parameters = count_parameters(build_model(config.model, model_config, config.optimisation.seed))
        assert parameters["encoder"] == encoder and parameters["head"] == head
        assert crop_cost(model_config, 480_000).training_flops / 1e9 == pytest.approx(gflop_30s, abs=0.1)
        assert crop_cost(model_config, 80_000).training_flops / 1e9 == pytest.approx(gflop_5s, abs=0.1)


def test_dry_run_prints_the_twelve(capsys):
    from musicssl.pretraining.planning.dry_run import dry_run

    recipes = parse_arguments(["--dry_run", "--config", *PUBLISHED])
    AcceleratorState._reset_state(True)
    dry_run(recipes, build_accelerator(recipes[0]))
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows.keys() >= PUBLISHED.keys()
    assert "112 x 30" in rows[VANILLA["music2vec"]] and "205.7" in rows[VANILLA["music2vec"]]
    assert "752 x 5" in rows["music2vec_crop5s"] and "195.0" in rows["music2vec_crop5s"]
    assert "32 x 30" in rows["musichubert_k500"] and "250,000" in rows["musichubert_k500"]


@pytest.mark.parametrize("given", ["recipes/music2vec_tiny.yaml", "/anywhere/recipes/music2vec_tiny.yaml"])
def test_a_recipe_is_found_where_version_0_1_had_it(given, tmp_path):
    assert load_recipe(given) == load_recipe("music2vec_tiny")
    (tmp_path / "recipes" / "mine").mkdir(parents=True)
    own = tmp_path / "recipes" / "mine" / "a.yaml"
    own.write_text("extends: ../music2vec_tiny.yaml\n")
    assert load_recipe(own)["max_updates"] == load_recipe("music2vec_tiny")["max_updates"]


def test_resolved_recipe_repeats_the_run(tmp_path):
    config = parse("--config", "musichubert_k2000_iter2", "--dry_run", "--model_config", "layerdrop=0")
    write_recipe(config, tmp_path / "recipe.yaml")
    again = parse("--config", tmp_path / "recipe.yaml")
    assert again == config
    assert model_config_of(again).to_dict() == model_config_of(config).to_dict()
    write_recipe(again, tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_text() == (tmp_path / "recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate: 1", "unknown key 'lerning_rate'; did you mean 'learning_rate'"),
        ("learning_rate: quick", "recipe.yaml: argument --learning_rate.*invalid float value: 'quick'"),
        ("schedule: cosine", "recipe.yaml: argument --schedule.*tri_stage"),
        ("extends: recipe.yaml", "extends itself"),
        ("extends: nowhere.yaml", "no recipe at .*nowhere.yaml"),
        ("- a list", "a recipe is a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_recipe_names_file_key_and_fix(text, message, tmp_path):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        parse("--config", tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--learning_rate", "-1"], "--learning_rate is -1.0: it must be above 0"),
        (["--mask_probability", "1.5"], "--mask_probability is 1.5: it must be between 0 and 1"),
        (["--lerning_rate", "1"], "did you mean 'learning_rate'"),
        (["--crop_seconds", "4000"], "less than one crop of --crop_seconds 4000"),
        (["--schedule_phases", "0.5", "0.5"], "three shares that add up to 1"),
        (["--schedule", "polynomial", "--max_updates", "100"], "give --warmup_updates 8"),
        (["--model", "musichubert"], "--label_features is missing"),
        (["--push_to_hub"], "--hub_model_id"),
        ([], "--train_data is missing"),
    ],
)
def test_wrong_flag_names_flag_and_fix(flags, message):
    with pytest.raises(UserError, match=message):
        parse("--model", "music2vec", *flags)


@pytest.mark.parametrize(
    ("setting", "message"),
    [("hiden_size=32", "no setting 'hiden_size'; did you mean 'hidden_size'"), ("average_top_k_layers=13", "1 to"),
     ("hidden_size=wide", "hidden_size"), ("hidden_size", "not KEY=VALUE")],
)  # fmt: skip
def test_wrong_model_setting(setting, message):
    with pytest.raises(UserError, match=message):
        model_config_of(parse("--model", "music2vec", "--dry_run", "--model_config", setting))


@pytest.mark.parametrize(("flags", "unused"), [((), False), (("--model_config", "layerdrop=0.1"), True)])
def test_several_processes_are_told_of_parameters_that_get_no_gradient(flags, unused):
    """A dropped layer leaves its parameters without a gradient; DDP would fail at the second update."""
    AcceleratorState._reset_state(True)
    accelerator = build_accelerator(parse("--config", "study/recipes/music2vec.yaml", "--dry_run", *flags))
    assert accelerator.ddp_handler.find_unused_parameters is unused
    AcceleratorState._reset_state(True)


def test_two_processes_can_write_one_recipe(tmp_path):
    with whole_file(tmp_path / "recipe.yaml") as other:
        other.write_text("model: music2vec")
        write_recipe(PretrainConfig(), tmp_path / "recipe.yaml")
    assert (tmp_path / "recipe.yaml").read_text() == "model: music2vec"
