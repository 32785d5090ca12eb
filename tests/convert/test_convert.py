"""Checkpoints go between the reference, stock transformers and ours, and nothing in them is run."""

import argparse
import os
import tarfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    Data2VecAudioConfig,
    HubertConfig,
    Wav2Vec2FeatureExtractor,
)

from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.commands.main import main
from musicssl.convert.convert import convert, load_any
from musicssl.convert.fairseq import to_fairseq
from musicssl.convert.safe_pickle import Inert, read_checkpoint
from musicssl.errors import UserError
from musicssl.model_files import save_for_hub

FAMILIES = ["music2vec", "musichubert"]
WAVEFORM = torch.sin(torch.arange(6000) ** 1.2 / 30)[None]


def same_tensors(left, right) -> bool:
    left, right = left.state_dict(), right.state_dict()
    return left.keys() == right.keys() and all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def reference_settings(model) -> dict:
    """A training configuration as the reference pickles it: objects of classes that we do not have."""
    config = model.config
    return {"model": argparse.Namespace(
        encoder_attention_heads=config.num_attention_heads, average_top_k_layers=2,
        conv_feature_layers="[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16,2,2)] + [(16,2,2)]",
    )}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("zipped", [True, False])
def test_ours_to_the_reference_and_back_is_lossless(tiny_models, tmp_path, family, zipped):
    model = tiny_models[family]
    model.save_pretrained(tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "reference.pt", to="fairseq")
    checkpoint = torch.load(tmp_path / "reference.pt", weights_only=True)
    names = checkpoint["model"].keys()
    assert {"mask_emb", "post_extract_proj.weight", "encoder.layers.2.self_attn.q_proj.weight"} <= names
    assert ("_ema" in names) == (family == "music2vec") and ("label_embs_concat" in names) == (family == "musichubert")

    checkpoint["cfg"] = reference_settings(model)
    torch.save(checkpoint, tmp_path / "pickled.pt", _use_new_zipfile_serialization=zipped)
    back = load_any(tmp_path / "pickled.pt")
    assert same_tensors(back, model) and type(back) is type(model)
    assert list(back.config.conv_stride) == list(model.config.conv_stride)
    for name in ("num_attention_heads", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "hidden_size"):
        assert getattr(back.config, name) == getattr(model.config, name), name


def test_a_network_like_hubert_large_keeps_its_norms_and_its_input(tmp_path):
    """Layers normed before or after, and a normalised waveform, are in no tensor: the settings say so."""
    config = MusicHubertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, conv_dim=[16] * 7,
        conv_bias=True, feat_extract_norm="layer", do_stable_layer_norm=True, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4, num_clusters=10,
    )  # fmt: skip
    model = MusicHubertForPreTraining(config).eval()
    save_for_hub(model, tmp_path / "ours", feature_extractor=Wav2Vec2FeatureExtractor(do_normalize=True))
    convert(tmp_path / "ours", tmp_path / "reference.pt", to="fairseq")
    convert(tmp_path / "reference.pt", tmp_path / "back")
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "back")
    assert extractor.do_normalize and extractor.return_attention_mask  # its layer norms can use the mask
    with torch.no_grad():
        expected = model.base_model(WAVEFORM).last_hidden_state
        for folder in ("back", "back/stock"):
            assert torch.equal(AutoModel.from_pretrained(tmp_path / folder)(WAVEFORM).last_hidden_state, expected)


def test_a_data2vec_normed_before_is_refused(tiny_models, tmp_path):
    settings = {"model": argparse.Namespace(encoder_attention_heads=2, layer_norm_first=True)}
    torch.save({"model": to_fairseq(tiny_models["music2vec"]), "cfg": settings}, tmp_path / "reference.pt")
    with pytest.raises(UserError, match="layer_norm_first"):
        load_any(tmp_path / "reference.pt")


def test_what_no_tensor_shows_is_said_to_be_assumed(tiny_models, tmp_path, capsys):
    state = to_fairseq(tiny_models["musichubert"])
    torch.save({"model": state, "cfg": None}, tmp_path / "bare.pt")
    load_any(tmp_path / "bare.pt")
    assert "holds no training configuration" in capsys.readouterr().err
    torch.save({"model": state, "cfg": reference_settings(tiny_models["musichubert"])}, tmp_path / "whole.pt")
    load_any(tmp_path / "whole.pt")
    assert not capsys.readouterr().err


def test_a_golden_reference_checkpoint_converts_by_its_shapes(project_root, tmp_path):
    tensors = load_file(project_root / "tests" / "golden" / "musichubert.safetensors")
    state = {name.removeprefix("final."): t for name, t in tensors.items() if name.startswith("final.")}
    torch.save({"model": state, "args": argparse.Namespace(encoder_attention_heads=4)}, tmp_path / "golden.pt")
    assert main(["convert", "--model", str(tmp_path / "golden.pt"), "--output_dir", str(tmp_path / "out")]) == 0
    config = AutoConfig.from_pretrained(tmp_path / "out")
    assert config.num_reserved_classes == 4 and config.num_clusters == len(state["label_embs_concat"]) - 4
    stock = AutoModel.from_pretrained(tmp_path / "out", subfolder="stock").eval()
    with torch.no_grad():
        expected = load_any(tmp_path / "golden.pt").base_model(WAVEFORM).last_hidden_state
        assert torch.equal(stock(WAVEFORM).last_hidden_state, expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["safetensors", "old names", "pickle"])
def test_stock_to_ours_and_back_is_lossless(tiny_models, tmp_path, family, form):
    """Old checkpoints name a weight norm's parts weight_g and weight_v, new ones original0 and original1."""
    convert(_saved(tiny_models[family], tmp_path / "start"), tmp_path / "stock", to="stock")
    weights = tmp_path / "stock" / "model.safetensors"
    if form != "safetensors":
        state = load_file(weights)
        renamed = {
            name.replace("parametrizations.weight.original0", "weight_g")
            .replace("parametrizations.weight.original1", "weight_v"): tensor
            for name, tensor in state.items()
        }  # fmt: skip
        assert (renamed.keys() != state.keys()) == (family == "musichubert")
        weights.unlink()
        if form == "pickle":
            torch.save(renamed, tmp_path / "stock" / "pytorch_model.bin")
        else:
            save_file(renamed, weights, metadata={"format": "pt"})
    convert(tmp_path / "stock", tmp_path / "ours")
    ours = AutoModel.from_pretrained(tmp_path / "ours")
    assert same_tensors(ours, tiny_models[family].base_model) and ours.config.model_type == family
    convert(tmp_path / "ours", tmp_path / "again", to="stock")
    if form == "safetensors":
        assert (tmp_path / "again" / "model.safetensors").read_bytes() == weights.read_bytes()


@pytest.mark.parametrize("normalizes", [True, False])
def test_a_converted_model_prepares_waveforms_as_its_source(tiny_models, tmp_path, normalizes):
    start = _saved(tiny_models["musichubert"], tmp_path / "start")
    Wav2Vec2FeatureExtractor(do_normalize=normalizes).save_pretrained(start)
    convert(start, tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "stock", to="stock")
    for folder in ("ours", "ours/stock", "stock"):
        assert AutoFeatureExtractor.from_pretrained(tmp_path / folder).do_normalize is normalizes
    (start / "preprocessor_config.json").write_text('{"do_normalize": tr')
    with pytest.raises(OSError, match="preprocessor_config.json"):
        convert(start, tmp_path / "damaged")


def _saved(model, directory):
    model.save_pretrained(directory)
    return directory


# m-a-p/music2vec-v1 and facebook/hubert-base-ls960 as their cards' configurations describe them.
PUBLISHED = {
    "music2vec": Data2VecAudioConfig(
        conv_dim=[512] * 7, conv_kernel=[10, 3, 3, 3, 3, 2, 2], conv_stride=[5, 2, 2, 2, 2, 2, 2],
        conv_pos_kernel_size=19, num_conv_pos_embeddings=5, num_conv_pos_embedding_groups=16, hidden_size=768,
        num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
    ),
    "musichubert": HubertConfig(
        conv_dim=[512] * 7, conv_kernel=[10, 3, 3, 3, 3, 2, 2], conv_stride=[5, 2, 2, 2, 2, 2, 2],
        feat_extract_norm="group", num_conv_pos_embeddings=128, num_conv_pos_embedding_groups=16, hidden_size=768,
        num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, layerdrop=0.1,
    ),
}  # fmt: skip
PARAMETERS = {"music2vec": 93_164_288, "musichubert": 94_371_712}


@pytest.mark.parametrize("family", FAMILIES)
def test_stand_ins_of_the_published_encoders_load_and_go_back(tmp_path, family):
    """The exact configuration and number of parameters; the weights are one constant per tensor, to be quick."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in AutoModel.from_config(PUBLISHED[family]).state_dict().items()}
    assert sum(shape.numel() for shape in shapes.values()) == PARAMETERS[family]
    state = {
        name: torch.full(shape, 0.001 * n, dtype=torch.bfloat16) for n, (name, shape) in enumerate(shapes.items())
    }
    PUBLISHED[family].save_pretrained(tmp_path)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})

    ours = load_any(tmp_path)
    assert ours.config.model_type == family and ours.config.to_dict().items() >= {
        name: value for name, value in PUBLISHED[family].to_dict().items()
        if name not in ("model_type", "architectures", "dtype", "transformers_version", "_name_or_path")
    }.items()  # fmt: skip
    back = ours.state_dict()
    assert back.keys() == state.keys() and all(torch.equal(back[name], tensor) for name, tensor in state.items())


class Explosive:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_malicious_pickle_is_read_but_not_run(tiny_models, tmp_path):
    marker = tmp_path / "exploded"
    checkpoint = {"cfg": reference_settings(tiny_models["music2vec"]), "model": to_fairseq(tiny_models["music2vec"])}
    torch.save({**checkpoint, "extra": Explosive(marker)}, tmp_path / "evil.pt")
    content = read_checkpoint(tmp_path / "evil.pt")
    assert not marker.exists() and isinstance(content["extra"], Inert)
    assert same_tensors(load_any(tmp_path / "evil.pt"), tiny_models["music2vec"])
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert marker.exists()  # what plain unpickling would have done


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no PyTorch checkpoint"),
        (b"not a pickle at all", "no PyTorch checkpoint"),
        ({"model": {"w": torch.zeros(2)}}, "neither data2vec audio nor HuBERT"),
        ({"epoch": 3}, "no tensors"),
        ([1, 2], "holds a list"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "some.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    assert main(["convert", "--model", str(path), "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_tar_that_would_write_elsewhere_is_refused_unopened(tmp_path):
    (tmp_path / "payload").write_bytes(b"x")
    with tarfile.open(tmp_path / "old.pt", "w") as tar:
        tar.add(tmp_path / "payload", arcname="../../escaped")
    with pytest.raises(UserError, match="tar archive"):
        read_checkpoint(tmp_path / "old.pt")


def test_a_bare_encoder_is_no_reference_checkpoint(tiny_models, tmp_path):
    _saved(tiny_models["musichubert"].base_model, tmp_path / "encoder")
    with pytest.raises(UserError, match="without pre-training head"):
        convert(tmp_path / "encoder", tmp_path / "out.pt", to="fairseq")
    with pytest.raises(UserError, match=r"something\.pt"):
        convert(tmp_path / "encoder", tmp_path / "out", to="fairseq")
