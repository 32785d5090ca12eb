"""Flags: one field is a flag, a recipe key and an attribute, whatever way its value is given."""

import dataclasses

import numpy as np
import pytest

from musicssl.errors import UserError
from musicssl.pretraining.config.parsing import make_config, parse_arguments
from musicssl.pretraining.config.recipes import config_of_recipe, write_recipe
from musicssl.pretraining.config.resuming import MUST_STAY
from musicssl.pretraining.config.settings import FLAGS, PretrainConfig

NEEDED = ("--model", "music2vec", "--dry_run")


def parse(*flags):
    return parse_arguments([*NEEDED, *flags])[0]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--tf32", "false"], {"tf32": False}),
        (["--no_tf32"], {"tf32": False}),
        (["--no-tf32"], {"tf32": False}),
        (["--tf32"], {"tf32": True}),
        (["--compile"], {"compile": True}),
        (["--compile=yes"], {"compile": True}),
        (["--normalize_waveform", "0"], {"normalize_waveform": False}),
        (["--train-data", "a", "b=0.5"], {"train_data": ["a", "b=0.5"]}),
        (["--train_data", "a", "--train_data", "b"], {"train_data": ["b"]}),
        (["--schedule_phases", "0.2", "0.3", "0.5"], {"schedule_phases": [0.2, 0.3, 0.5]}),
        (["--max-updates=7", "--learning_rate", "1e-3"], {"max_updates": 7, "learning_rate": 1e-3}),
        (["--schedule", "polynomial", "--warmup_updates", "3"], {"schedule": "polynomial", "warmup_updates": 3}),
        (["--model_config", "hidden_size=8", "conv_dim=[1,2]", "--model_config", "hidden_size=9", "layerdrop=1e-1"],
         {"model_config": {"hidden_size": 9, "conv_dim": [1, 2], "layerdrop": "1e-1"}}),  # YAML's floats have a point
        (["--iterations", '{"features": "mfcc39", "clusters": 5}', "{updates: 3}"],
         {"iterations": [{"features": "mfcc39", "clusters": 5}, {"updates": 3}]}),
        (["--kmeans_standardise", "true"], {"kmeans_standardize": True}),
        (["--kmeans-standardise=true"], {"kmeans_standardize": True}),
    ],
)  # fmt: skip
def test_command_lines_are_read_as_ever(flags, expected):
    found = parse(*flags).flags()
    assert {name: found[name] for name in expected} == expected
    assert [type(found[name]) for name in expected] == [type(value) for value in expected.values()]


def test_a_recipe_and_python_give_the_same_as_the_command_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text(
        "schema_version: 2\nmodel: music2vec\ntrain_data: music\nnum_clusters: 8\ncrop_seconds: 4\ntf32: off\n"
        "log_with: []\nseed: null\nmodel_config: {hidden_size: 8, layer_norm_eps: 1.0e-5}\nvalidation_data: [a, b]\n"
    )
    by_recipe = config_of_recipe(tmp_path / "recipe.yaml")
    assert by_recipe == parse(
        "--train_data", "music", "--num_clusters", "8", "--crop_seconds", "4", "--tf32", "false", "--validation_data",
        "a", "b", "--model_config", "hidden_size=8", "layer_norm_eps=0.00001", "--dry_run", "false", "--recipe_name",
        "recipe", "--output_dir", "run",
    ).with_flags(output_dir=None)  # fmt: skip
    by_python = make_config(
        model="music2vec", train_data=["music"], num_clusters=8, crop_seconds=4, tf32=False, seed=None,
        validation_data=("a", "b"), model_config={"hidden_size": 8, "layer_norm_eps": 1e-5}, recipe_name="recipe",
        output_dir=tmp_path,
    )  # fmt: skip
    assert by_python.with_flags(output_dir=None) == by_recipe
    # What is given beside a recipe overrides it; settings of the model are merged.
    over = make_config(tmp_path / "recipe.yaml", model_config={"layerdrop": 0}, crop_seconds=3, output_dir=tmp_path)
    assert over.model.model_config == {"hidden_size": 8, "layer_norm_eps": 1e-5, "layerdrop": 0}
    assert (over.data.crop_seconds, over.data.train_data) == (3.0, ("music",))


def test_values_of_python_are_read_back_from_the_recipe_of_the_run(tmp_path):
    model_config = {
        "conv_dim": (8, np.int64(8)),
        "conv_kernel": np.array([3, 2]),
        "layerdrop": np.float64(0.1),
        "nested": {"a": (1,)},
    }
    entry = {"clusters": (np.int64(5), 6), "init_from": tmp_path}
    config = make_config(
        model="music2vec", dry_run=True, model_config=model_config, iterations=[entry], seed=np.int64(3),
        num_clusters=np.array([5, 6]), recipe_name="mine",
    )  # fmt: skip
    write_recipe(config, tmp_path / "recipe.yaml")
    assert config_of_recipe(tmp_path / "recipe.yaml") == config
    assert config.model.model_config["conv_dim"] == [8, 8] and config.labels.num_clusters == (5, 6)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"tf32": "maybe"}, "--tf32: invalid bool value: 'maybe' .write true or false"),
        ({"max_updates": 1.5}, "--max_updates: invalid int value: '1.5'"),
        ({"schedule": "cosine"}, "--schedule: invalid choice: 'cosine' .choose from tri_stage, polynomial"),
        ({"num_clusters": ["many"]}, "--num_clusters: invalid int value: 'many'"),
        ({"learning_rate": [1, 2]}, "--learning_rate: it takes one value"),
        ({"iterations": ["five"]}, "--iterations: five is not a mapping like {features"),
        ({"iterations": ["{"]}, "--iterations: { is not a mapping like {features"),
        ({"model_config": 5}, "--model_config: 5 is not a mapping like hidden_size=192"),
        ({"lerning_rate": 1}, "unknown flag 'lerning_rate'; did you mean 'learning_rate'"),
        ({"micro_batch_clips": 0}, "--micro_batch_clips is 0: it must be at least 1, or left out"),
        ({"push_every": 0}, "--push_every is 0: it must be 1"),
    ],
)
def test_a_wrong_value_names_its_flag(flags, message):
    with pytest.raises(UserError, match=message):
        make_config(model="music2vec", dry_run=True, **flags)


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("musicssl.pretraining.config.checks.find_spec", lambda name: None, raising=False)
    with pytest.raises(UserError, match=r"--log_with tensorboard needs tensorboard: pip install .*\[trackers\]"):
        make_config(model="music2vec", train_data="music", output_dir=tmp_path, log_with="tensorboard")


def test_a_configuration_cannot_be_changed_in_place():
    config = parse()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.optimisation.micro_batch_clips = 3
    changed = config.with_flags(micro_batch_clips=3)
    assert (config.optimisation.micro_batch_clips, changed.optimisation.micro_batch_clips) == (None, 3)
    assert changed.data is config.data


def test_every_flag_is_in_one_group_and_in_the_help(capsys):
    names = [own.name for group in dataclasses.fields(PretrainConfig) for own in dataclasses.fields(group.type)]
    assert sorted(names) == sorted(set(names)) == sorted(FLAGS)
    with pytest.raises(SystemExit):
        parse("--help")
    printed = capsys.readouterr().out
    assert all(f"  --{name} " in printed for name in names)
    for title in ("Audio and crops:", "Masked frames:", "Labels of musicHuBERT:", "Output, checkpoints, logs and"):
        assert f"\n{title}" in printed
    assert "kmeans_standardise" not in printed


def test_what_may_change_at_resume_stands_at_the_flags():
    assert {"seed", "mask_span", "train_data", "iterations", "model_config"} <= set(MUST_STAY)
    assert not {"output_dir", "log_every", "validation_data", "max_bad_fraction", "push_every"} & set(MUST_STAY)
    assert PretrainConfig().labels.codebook_settings().keys() == {
        "num_clusters", "kmeans_iterations", "kmeans_restarts", "kmeans_init", "kmeans_standardize",
        "kmeans_spherical", "kmeans_max_points_per_cluster", "kmeans_budget_mb", "label_statistics_seconds",
    }  # fmt: skip
