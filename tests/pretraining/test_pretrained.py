"""--init_from: published encoders, by stand-ins with their configurations and key names, and our own checkpoints."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import Data2VecAudioConfig, Data2VecAudioModel, HubertConfig, HubertModel

from musicssl.errors import UserError
from musicssl.pretraining.config.parsing import parse_arguments
from musicssl.pretraining.model.building import build_model, build_model_config

# What the published configurations say beyond the defaults of their classes.
DATA2VEC = {"layerdrop": 0.05, "activation_dropout": 0.1, "mask_time_prob": 0.05, "num_conv_pos_embeddings": 5}
HUBERT = {"layerdrop": 0.1, "feat_extract_norm": "group", "do_stable_layer_norm": False}
PUBLISHED = {
    "facebook/data2vec-audio-base": ("music2vec", Data2VecAudioConfig, Data2VecAudioModel, DATA2VEC, {}),
    "m-a-p/music2vec-v1": (
        "music2vec", Data2VecAudioConfig, Data2VecAudioModel, DATA2VEC, {"conv_pos_kernel_size": 19},
    ),
    "facebook/hubert-base-ls960": ("musichubert", HubertConfig, HubertModel, HUBERT, {}),
    "m-a-p/MERT-v0": (
        "musichubert", HubertConfig, HubertModel, HUBERT,
        {"model_type": "mert_model", "feature_extractor_cqt": False, "deepnorm": False, "attention_relax": -1.0},
    ),
}  # fmt: skip


def make_stand_in(directory, config_class, model_class, settings, published_only):
    """A checkpoint of full width and depth in which every weight holds a constant of its own."""
    with torch.device("meta"):
        model = model_class(config_class(**settings))
    model.to_empty(device="cpu")
    empty = model.state_dict()
    state = {name: torch.full_like(tensor, 1 + n / 1000) for n, (name, tensor) in enumerate(empty.items())}
    # The names under which weight norm was saved when these checkpoints were published.
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    published = {}
    for name, tensor in state.items():
        for new_name, old_name in old.items():
            name = name.replace(new_name, old_name)
        published[name] = tensor
    save_file(published, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(model.config.to_dict() | published_only))
    return state


def initialised(model, source, *flags):
    recipe = f"{model}_base"
    command = ["--config", recipe, "--dry_run", "--init_from", str(source), *flags]
    config = parse_arguments(command)[0]
    model_config = build_model_config(config.model, config.labels.num_clusters)
    return build_model(config.model, model_config, config.optimisation.seed)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_encoder_fills_ours(name, tmp_path, project_root, monkeypatch, capsys):
    monkeypatch.chdir(project_root)
    model_name, config_class, model_class, settings, published_only = PUBLISHED[name]
    state = make_stand_in(tmp_path, config_class, model_class, settings, published_only)
    model = initialised(model_name, tmp_path)
    loaded = model.base_model.state_dict()
    assert loaded.keys() == state.keys()
    printed = capsys.readouterr().out
    assert f"--init_from {tmp_path}: tensors from the checkpoint: {model.base_model_prefix} {len(state)};" in printed
    assert f"; with random weights: {'final_proj 2, teacher ' if model_name == 'music2vec' else 'heads '}" in printed
    for key, tensor in state.items():
        assert torch.equal(loaded[key], tensor), key
    assert model.config.model_type == model_name and model.config.layerdrop == 0.05
    if model_name == "music2vec":
        model.update_teacher(0)
        assert torch.equal(model.teacher.layers[3].feed_forward.output_dense.weight,
                           loaded["encoder.layers.3.feed_forward.output_dense.weight"])  # fmt: skip
        assert model.final_proj.weight.std() > 0
    else:
        assert all(head.label_embeddings.std() > 0 for head in model.heads)


def small(directory, **changes):
    settings = {"hidden_size": 24, "num_hidden_layers": 8, "num_attention_heads": 2, "intermediate_size": 32}
    settings |= {"num_conv_pos_embedding_groups": 4, "conv_dim": (8,) * 7} | changes
    Data2VecAudioModel(Data2VecAudioConfig(**settings)).save_pretrained(directory)
    return directory


def test_what_cannot_be_continued_is_told(tmp_path, project_root, monkeypatch):
    monkeypatch.chdir(project_root)
    source = small(tmp_path / "small")
    assert initialised("music2vec", source).config.hidden_size == 24
    with pytest.raises(UserError, match="is a 'data2vec-audio': musichubert can start from musichubert, hubert"):
        initialised("musichubert", source)
    with pytest.raises(UserError, match="--model_config hidden_size=48 contradicts --init_from.*hidden_size=24"):
        initialised("music2vec", source, "--model_config", "hidden_size=48")
    with pytest.raises(UserError, match="--init_from .*nowhere"):
        initialised("music2vec", tmp_path / "nowhere")
    (source / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(UserError, match="weights cannot be read"):
        initialised("music2vec", source)
    torch.manual_seed(0)
    other = small(tmp_path / "other")
    config = json.loads((other / "config.json").read_text()) | {"intermediate_size": 40}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="encoder weights are missing or of another shape, first data2vec_audio.enc"):
        initialised("music2vec", other)
