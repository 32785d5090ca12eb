"""HuBERT's iterations in one command: killed in every phase, they end where an uninterrupted run ends."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from safetensors.numpy import load_file
from transformers import AutoModel

from musicssl.errors import UserError
from musicssl.labels import fitting as label_fitting
from musicssl.pretraining import iterations
from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.iterations import iteration_configs, train_iterations
from musicssl.pretraining.model.device import build_accelerator
from musicssl.publish.card import write_card

FIRST = {"features": "mfcc39", "clusters": 6, "updates": 4}
SECOND = {"features": "layer 2", "clusters": 8, "updates": 4}


class Killed(BaseException):
    """Not an `Exception`: nothing on the way may catch it."""


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    generator = np.random.default_rng(0)
    for number in range(4):
        time = np.arange(24000) / 16000
        tone = np.sin(2 * np.pi * (200 + 90 * number) * time * (1 + 0.2 * time))
        soundfile.write(folder / f"{number}.wav", 0.3 * tone + 0.05 * generator.normal(size=len(time)), 16000)
    return folder


@pytest.fixture
def config(music, tmp_path) -> PretrainConfig:
    small = ["hidden_size=16", "num_hidden_layers=2", "num_attention_heads=2", "intermediate_size=32",
             "num_conv_pos_embeddings=16", "num_conv_pos_embedding_groups=2", "layerdrop=0.0", "projection_dim=8",
             "conv_dim=[8,8,8,8,8,8,8]"]  # fmt: skip
    return PretrainConfig().with_flags(
        model="musichubert", model_config=small, train_data=[str(music)], output_dir=str(tmp_path / "run"),
        crop_seconds=1.0, min_seconds=1.0, audio_seconds_per_update=2.0, micro_batch_clips=2, schedule="polynomial",
        warmup_updates=1, learning_rate=1e-3, max_grad_norm=10.0, checkpoint_every=2, log_every=2, validate_every=4,
        store_labels=True, kmeans_budget_mb=4, iterations=[FIRST, SECOND],
    )  # fmt: skip


def _results(config) -> dict:
    """Final weights, and the labels of both iterations."""
    output_dir = iterations.Path(config.run.output_dir)
    labels = {}
    for shard in sorted(output_dir.glob("iteration-*/labels/*.parquet")):
        for row in pq.read_table(shard).to_pylist():
            labels[shard.parts[-3], row["clip_id"]] = row["labels"]
    return load_file(output_dir / "model.safetensors") | labels


def _assert_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=str(key))


def test_killed_in_each_of_the_four_phases_and_resumed(config, monkeypatch):
    whole = config.with_flags(output_dir=config.run.output_dir + "-whole")
    assert train_iterations(whole, build_accelerator(whole)).finished
    expected = _results(whole)
    assert any(isinstance(key, tuple) and key[0] == "iteration-2" for key in expected)

    def killed(*_, **__):
        raise Killed

    def killed_in_training(directory, update):
        if update == 2:
            raise Killed

    accelerator = build_accelerator(config)
    phases = {  # what is broken, and how far the run then is
        "fit": ("fit_codebook", None, 1),
        "train": (None, killed_in_training, 1),
        "relabel": ("write_labels", None, 2),
        "train again": (None, killed_in_training, 2),
    }
    for phase, (broken, after_checkpoint, iteration) in phases.items():
        with monkeypatch.context() as patch:
            if phase == "relabel":
                _kill_second_time(patch, label_fitting, "write_labels")
            elif broken:
                patch.setattr(label_fitting, broken, killed)
            with pytest.raises(Killed):
                train_iterations(config, accelerator, after_checkpoint)
        begun = len(list(iterations.Path(config.run.output_dir).glob("iteration-*")))
        assert begun == iteration, phase
    assert train_iterations(config, accelerator).finished
    _assert_equal(_results(config), expected)

    output_dir = iterations.Path(config.run.output_dir)
    quality = json.loads((output_dir / "label_quality.json").read_text())
    assert list(quality) == ["iteration 1: 0-mfcc39", "iteration 2: 0-layer2"]
    assert (output_dir / "label_quality.png").stat().st_size > 5000
    model = AutoModel.from_pretrained(output_dir)
    assert model.config.label_features == ["layer2"] and model.config.num_clusters in (8, [8])

    card = write_card(output_dir).read_text()
    assert "| iteration 1 of the recipe | clusters 6; features mfcc39; updates 4 |" in card
    assert "| iteration 2 of the recipe | clusters 8; features layer 2; updates 4 |" in card
    assert "| recipe | musichubert-iteration-2 |" in card
    assert "| clustered | layer2 |" in card and "mfcc39 |" not in card
    assert "| updates done | 4 |" in card and "The run stopped" not in card


def _kill_second_time(patch, module, name) -> None:
    """Let the first iteration's finished labels pass, then label one clip and die."""
    real = getattr(module, name)

    def broken(labeller, clips, directory, accelerator):
        if directory.parent.name == "iteration-1":
            return real(labeller, clips, directory, accelerator)

        def one_clip():
            yield next(iter(clips))
            raise Killed

        return real(labeller, one_clip(), directory, accelerator, clips_per_shard=1)

    patch.setattr(module, name, broken)


def test_each_iteration_overrides_the_recipe(config):
    third = {"features": ["layer 1", "chroma24"], "clusters": [5, 7], "updates": 9, "learning_rate": 1e-4}
    config = config.with_flags(iterations=[FIRST, SECOND, third])
    first, second, last = iteration_configs(config)
    assert (first.labels.label_features, first.labels.num_clusters) == (("mfcc39",), (6,))
    assert first.optimisation.max_updates == 4
    assert (second.labels.label_features, second.labels.label_model) == (("layer2",), first.run.output_dir)
    assert (last.labels.label_features, last.labels.num_clusters) == (("layer1", "chroma24"), (5, 7))
    assert last.optimisation.learning_rate == 1e-4
    assert second.model.init_from is None  # the reference starts afresh
    _, second, _ = iteration_configs(config.with_flags(init_from_previous=True))
    assert second.model.init_from == first.run.output_dir


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"features": "layer 3", "clusters": 8, "updates": 4}, "iteration 2: 'layer3': .* layer1 to layer2"),
        ({"features": "mfcc39", "clusters": 8}, "iteration 2: 'updates' is missing"),
        ({"feature": "mfcc39", "clusters": 8, "updates": 4}, "iteration 2: unknown setting 'feature'"),
        ({"features": "mfcc39", "clusters": [8, 9], "updates": 4}, "iteration 2: --num_clusters has 2 numbers"),
        (SECOND | {"model_config": {"hiden_size": 8}}, "iteration 2: --model_config: .* no setting 'hiden_size'"),
        (SECOND | {"model_config": {"hidden_size": "wide"}}, "iteration 2: --model_config: "),
        (SECOND | {"mask_span": 60}, "iteration 2: --crop_seconds 1: .* too few"),
    ],
)
def test_an_iteration_that_cannot_run_is_an_error_before_the_first(config, entry, message):
    for init_from_previous in (False, True):
        with pytest.raises(UserError, match=message):
            iteration_configs(config.with_flags(iterations=[FIRST, entry], init_from_previous=init_from_previous))


def test_a_first_iteration_on_a_layer_needs_a_model(config):
    with pytest.raises(UserError, match="iteration 1: 'layer2' needs a trained model"):
        iteration_configs(config.with_flags(iterations=[SECOND]))
