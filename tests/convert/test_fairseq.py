"""Reference checkpoints load strictly, in every form they come in."""

import pytest
import torch
from safetensors.torch import load_file

from music2vec import Music2VecConfig, Music2VecForPreTraining
from musichubert import MusicHubertConfig, MusicHubertForPreTraining, MusicHubertModel
from musicssl.convert import load_fairseq_weights
from musicssl.errors import UserError

TINY = {
    "conv_dim": [16] * 7,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}


def golden(project_root, name: str, prefix: str) -> dict[str, torch.Tensor]:
    tensors = load_file(project_root / "tests" / "golden" / f"{name}.safetensors")
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


@pytest.fixture
def data2vec(project_root) -> dict[str, torch.Tensor]:
    return golden(project_root, "music2vec", "final")


@pytest.fixture
def teacher(project_root) -> dict[str, torch.Tensor]:
    return golden(project_root, "music2vec", "teacher_after_last_update_before_ema_step")


@pytest.fixture
def hubert(project_root) -> dict[str, torch.Tensor]:
    return golden(project_root, "musichubert", "final")


def make_music2vec() -> Music2VecForPreTraining:
    return Music2VecForPreTraining(Music2VecConfig(**TINY, average_top_k_layers=2))


def make_musichubert(num_clusters=20) -> MusicHubertForPreTraining:
    return MusicHubertForPreTraining(MusicHubertConfig(**TINY, num_clusters=num_clusters, projection_dim=16))


def test_teacher_loads_nested_and_flat(data2vec, teacher):
    nested, flat = make_music2vec(), make_music2vec()
    load_fairseq_weights(nested, {**data2vec, "_ema": teacher})
    load_fairseq_weights(flat, {**data2vec, **{f"_ema.{name}": tensor for name, tensor in teacher.items()}})
    weights = nested.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in flat.state_dict().items())
    layer = nested.teacher.layers[3].feed_forward.output_dense.weight
    assert torch.equal(layer, teacher["layers.3.fc2.weight"])
    assert not torch.equal(layer, nested.data2vec_audio.encoder.layers[3].feed_forward.output_dense.weight)


def test_what_the_teacher_leaves_out_is_the_students(data2vec, teacher):
    model = make_music2vec()
    averaged = {name: tensor for name, tensor in teacher.items() if not name.startswith("pos_conv.")}
    load_fairseq_weights(model, {**data2vec, "_ema": averaged})
    student = model.data2vec_audio.encoder
    weights = student.pos_conv_embed.state_dict()
    assert all(
        torch.equal(weights[name], tensor) for name, tensor in model.teacher.pos_conv_embed.state_dict().items()
    )
    load_fairseq_weights(model, data2vec)
    for own, theirs in zip(model.teacher.parameters(), student.parameters(), strict=True):
        assert torch.equal(own, theirs)


def test_old_and_parametrised_weight_norm_are_one(hubert):
    old, new = make_musichubert(), make_musichubert()
    load_fairseq_weights(old, hubert)
    renamed = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in hubert.items()
    }
    assert renamed.keys() != hubert.keys()
    load_fairseq_weights(new, renamed)
    assert all(torch.equal(new.state_dict()[name], tensor) for name, tensor in old.state_dict().items())
    direction = hubert["encoder.pos_conv.0.weight_v"]
    expected = hubert["encoder.pos_conv.0.weight_g"] * direction / direction.norm(dim=(0, 1), keepdim=True)
    torch.testing.assert_close(old.hubert.encoder.pos_conv_embed.conv.weight, expected)


def test_heads_of_several_codebooks_are_split(hubert):
    model = make_musichubert(num_clusters=[20, 3])
    hubert["label_embs_concat"] = torch.randn(24 + 7, 16)
    hubert["final_proj.weight"], hubert["final_proj.bias"] = torch.randn(32, 32), torch.randn(32)
    load_fairseq_weights(model, hubert)
    assert torch.equal(model.heads[0].label_embeddings, hubert["label_embs_concat"][:24])
    assert torch.equal(model.heads[1].label_embeddings, hubert["label_embs_concat"][24:])
    assert torch.equal(model.heads[1].projection.weight, hubert["final_proj.weight"][16:])
    assert torch.equal(model.heads[1].projection.bias, hubert["final_proj.bias"][16:])


def test_half_precision_checkpoints_fill_a_single_precision_model(hubert):
    model = make_musichubert()
    load_fairseq_weights(model, {name: tensor.half() for name, tensor in hubert.items()})
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}


def test_missing_unknown_and_misshapen_tensors_are_named(data2vec, teacher, hubert):
    model = make_musichubert()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    without = {name: tensor for name, tensor in hubert.items() if name != "mask_emb"}
    wrong_shape = {**hubert, "layer_norm.weight": torch.ones(17)}
    extra_layer = {name.replace("layers.3.", "layers.9."): tensor for name, tensor in hubert.items()}
    for state_dict, message in (
        (without, "nothing for hubert.masked_spec_embed"),
        ({**hubert, "quantizer.weight": torch.ones(1)}, "quantizer.weight"),
        (wrong_shape, r"feature_projection.layer_norm.weight has shape \(17,\)"),
        ({**hubert, **extra_layer}, r"no place for hubert\.encoder\.layers\.9.* more"),
        ({**hubert, "label_embs_concat": torch.ones(30, 16)}, "label_embs_concat has 30 rows .* num_clusters"),
    ):
        with pytest.raises(UserError, match=message):
            load_fairseq_weights(model, state_dict)
    with pytest.raises(UserError, match="no place for teacher.layers.7"):
        load_fairseq_weights(make_music2vec(), {**data2vec, "_ema": {**teacher, "layers.7.fc1.bias": torch.ones(64)}})
    with pytest.raises(UserError, match="nothing for teacher.layer_norm.bias"):
        load_fairseq_weights(make_music2vec(), {**data2vec, "_ema": {"layer_norm.weight": torch.ones(32)}})
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items()), "all or nothing"


def test_other_models_are_refused(hubert):
    with pytest.raises(TypeError, match="MusicHubertModel"):
        load_fairseq_weights(MusicHubertModel(MusicHubertConfig(**TINY)), hubert)
