"""music2vec: its teacher, its targets and its loss."""

import json
import math

import pytest
import torch
from torch import nn

from music2vec import Music2VecConfig, Music2VecForPreTraining
from musicssl.errors import UserError
from musicssl.families import load_whole

BATCH, SAMPLES, FRAMES = 2, 8000, 24


def make_model(**settings) -> Music2VecForPreTraining:
    settings = {
        "conv_dim": [16] * 7,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "average_top_k_layers": 2,
        **settings,
    }
    return Music2VecForPreTraining(Music2VecConfig(**settings))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_defaults_are_the_references():
    config = Music2VecConfig()
    assert (config.average_top_k_layers, config.ema_decay, config.ema_end_decay) == (8, 0.999, 0.9999)
    assert (config.ema_anneal_end_step, config.layerdrop, config.activation_dropout) == (30_000, 0.05, 0.0)
    assert (config.hidden_dropout, config.attention_dropout, config.feat_proj_dropout) == (0.1, 0.1, 0.0)


def test_more_target_layers_than_layers_is_refused():
    with pytest.raises(ValueError, match="average_top_k_layers"):
        Music2VecConfig(num_hidden_layers=4, average_top_k_layers=5)


@pytest.mark.parametrize(("update", "decay"), [(0, 0.999), (15_000, 0.99945), (30_000, 0.9999), (400_000, 0.9999)])
def test_ema_decay_schedule(update, decay):
    assert make_model().ema_decay(update) == pytest.approx(decay, abs=1e-12)


def test_teacher_starts_as_the_student_and_follows_it():
    model = make_model(ema_decay=0.5, ema_end_decay=0.5)
    student = model.data2vec_audio.encoder
    model.update_teacher(0)
    for name, tensor in model.teacher.state_dict().items():
        assert torch.equal(tensor, student.state_dict()[name]), name

    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    model.update_teacher(1)
    for name, tensor in model.teacher.state_dict().items():
        # Positional convolutions are copied, everything else, the encoder's layer norm too, is averaged.
        moved = 1.0 if name.startswith("pos_conv_embed") else 0.5
        torch.testing.assert_close(tensor, before[name] + moved)


def test_teacher_neither_trains_nor_drops_out():
    model = make_model(hidden_dropout=0.5).train()
    model.update_teacher(0)
    assert not any(module.training for module in model.teacher.modules())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
    projected = torch.randn(BATCH, FRAMES, 32, requires_grad=True)
    targets = model.targets(projected)
    assert not targets.requires_grad
    assert torch.equal(targets, model.targets(projected))


def test_teacher_stays_in_single_precision(tmp_path):
    make_model().save_pretrained(tmp_path)
    model = Music2VecForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert model.final_proj.weight.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in model.teacher.parameters()} == {torch.float32}
    model.update_teacher(1)


def test_targets_are_the_normalised_feed_forward_outputs_of_the_top_layers():
    model = make_model()
    outputs = []
    for layer in model.teacher.layers:
        layer.feed_forward.register_forward_hook(lambda module, args, output: outputs.append(output))
    projected = torch.randn(BATCH, FRAMES, 32)
    with torch.no_grad():
        model.teacher(projected)
    expected = 0
    for output in outputs[-2:]:
        centred = output - output.mean(dim=1, keepdim=True)
        expected = expected + centred / torch.sqrt(output.var(dim=1, keepdim=True, unbiased=False) + 1e-5) / 2
    torch.testing.assert_close(model.targets(projected), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss_scale", [None, 0.25])
def test_loss_and_health_are_those_of_masked_frames(loss_scale):
    model = make_model(loss_scale=loss_scale).eval()
    model.update_teacher(0)
    waveform, mask = torch.randn(BATCH, SAMPLES), torch.rand(BATCH, FRAMES) < 0.5
    output = model(waveform, mask, output_hidden_states=True)
    prediction = model.final_proj(output.hidden_states[-1])[mask]
    target = model.targets(model.data2vec_audio.project(waveform))[mask]
    per_frame = ((prediction - target) ** 2).sum(dim=-1) * (loss_scale or 1 / math.sqrt(32))
    torch.testing.assert_close(output.loss, per_frame.mean())
    torch.testing.assert_close(output.target_std, target.std(dim=0).mean(), rtol=1e-4, atol=0)
    torch.testing.assert_close(output.prediction_std, prediction.std(dim=0).mean(), rtol=1e-4, atol=0)
    assert output.num_masked_frames == mask.sum()


def test_student_does_not_see_masked_frames():
    model = make_model().eval()
    projected, mask = torch.randn(BATCH, FRAMES, 32), torch.zeros(BATCH, FRAMES, dtype=torch.bool)
    mask[:, 5:9] = True
    changed = torch.where(mask[..., None], torch.randn_like(projected), projected)
    first, second = (model.data2vec_audio.encode(frames, mask).last_hidden_state for frames in (projected, changed))
    assert torch.equal(first, second)


def test_heads_and_positional_convolutions_start_as_pytorchs():
    model = make_model(hidden_size=64)
    convolution: nn.Conv1d = model.data2vec_audio.encoder.pos_conv_embed.layers[0].conv
    for layer, fan_in in ((model.final_proj, 64), (convolution, 64 // 16 * 19)):
        bound = 1 / math.sqrt(fan_in)
        for values in (layer.weight, layer.bias):
            assert values.abs().max() <= bound and values.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)


def test_masks_of_a_clip_share_its_teacher():
    """R masks of a clip cost one pass of the teacher and give the loss of the clip repeated R times."""
    model = make_model(hidden_dropout=0.0, attention_dropout=0.0, layerdrop=0.0).eval()
    waveforms, mask = torch.randn(BATCH, SAMPLES), torch.zeros(BATCH, FRAMES, dtype=torch.bool)
    mask[0, 2:12] = mask[1, 9:19] = True
    masks = torch.stack([mask, mask.flip(1)], dim=1).flatten(0, 1)  # both masks of a clip in turn
    passes = []
    model.teacher.layers[0].register_forward_hook(lambda module, args, output: passes.append(len(output)))
    model.teacher.layers[0].feed_forward.register_forward_hook(lambda module, args, output: passes.append(len(output)))
    torch.manual_seed(1)
    together = model(waveforms, masks)
    assert passes == [BATCH]
    torch.manual_seed(1)
    repeated = model(waveforms.repeat_interleave(2, dim=0), masks)
    assert together.num_masked_frames == repeated.num_masked_frames == 40
    torch.testing.assert_close(together.loss, repeated.loss)


SETTINGS_OF_VERSION_0_1 = {
    "drop_masked_frames": False, "decoder_layers": 4, "decoder_dim": 384, "decoder_kernel": 7, "decoder_groups": 16,
}  # fmt: skip


def write_config(folder, **settings) -> None:
    make_model().save_pretrained(folder)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **settings}))


def test_a_checkpoint_of_version_0_1_loads_and_its_old_settings_are_gone(tmp_path):
    write_config(tmp_path, **SETTINGS_OF_VERSION_0_1)
    model, loading = Music2VecForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())
    assert not SETTINGS_OF_VERSION_0_1.keys() & model.config.to_dict().keys()


def test_a_checkpoint_that_dropped_masked_frames_is_refused_in_one_line(tmp_path):
    write_config(tmp_path, **SETTINGS_OF_VERSION_0_1 | {"drop_masked_frames": True})
    with pytest.raises(UserError, match="drop_masked_frames.*version 0.1.0") as caught:
        load_whole(tmp_path)
    assert "\n" not in str(caught.value) and "config.json" in str(caught.value)
