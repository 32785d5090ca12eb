"""Dropped masked frames and several masks of a clip: what they compute, and what they leave alone."""

import pytest
import torch

from music2vec import Music2VecConfig, Music2VecForPreTraining, Music2VecModel
from music2vec.visible_frames import GapDecoder, gather_frames, visible_index

BATCH, SAMPLES, FRAMES = 2, 8000, 24


def make_model(**settings) -> Music2VecForPreTraining:
    torch.manual_seed(0)
    sizes = {
        "conv_dim": [16] * 7, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
        "num_attention_heads": 4, "average_top_k_layers": 2, "decoder_dim": 16, "decoder_groups": 4,
    }  # fmt: skip
    return Music2VecForPreTraining(Music2VecConfig(**sizes, **settings)).eval()


def make_mask() -> torch.Tensor:
    mask = torch.zeros(BATCH, FRAMES, dtype=torch.bool)
    mask[0, 2:12] = mask[1, 9:19] = True
    return mask


def test_visible_frames_are_gathered_in_order():
    frames = torch.arange(BATCH * FRAMES).view(BATCH, FRAMES, 1)
    mask = make_mask()
    visible = gather_frames(frames, visible_index(mask))
    assert torch.equal(visible.flatten(), frames[~mask].flatten())
    mask[0, 0] = True
    with pytest.raises(ValueError, match="equal_mask_counts"):
        visible_index(mask)


def test_the_student_sees_nothing_of_masked_frames():
    """Neither through the transformer, which skips them, nor through the positional convolutions."""
    model, mask = make_model(drop_masked_frames=True), make_mask()
    index = visible_index(mask)
    projected = torch.randn(BATCH, FRAMES, 32)
    other = torch.where(mask[..., None], torch.randn(BATCH, FRAMES, 32), projected)
    encode = model.data2vec_audio.encode_visible
    seen = [encode(frames, mask, index).last_hidden_state for frames in (projected, other)]
    assert seen[0].shape == (BATCH, FRAMES - 10, 32)
    assert torch.equal(*seen)


def test_without_masks_it_is_the_encoder():
    model, mask = make_model(drop_masked_frames=True), torch.zeros(BATCH, FRAMES, dtype=torch.bool)
    projected = torch.randn(BATCH, FRAMES, 32)
    visible = model.data2vec_audio.encode_visible(projected, mask, visible_index(mask)).last_hidden_state
    torch.testing.assert_close(visible, model.data2vec_audio.encode(projected, mask).last_hidden_state)


def test_the_decoder_carries_visible_frames_into_gaps():
    torch.manual_seed(0)
    decoder, mask = GapDecoder(8, 16, num_layers=2, kernel=7, groups=4), make_mask()
    index = visible_index(mask)
    visible = torch.randn(BATCH, index.shape[1], 8)
    torch.manual_seed(1)
    first = decoder(visible, index, FRAMES)
    visible[0, 1] += 1.0  # frame 1, the last before the gap of clip 0
    torch.manual_seed(1)
    changed = (decoder(visible, index, FRAMES) != first).any(-1)
    assert changed[0, 2:8].all() and not changed[0, 8:].any() and not changed[1].any()


def test_it_trains_and_its_encoder_loads_alone(tmp_path):
    model = make_model(drop_masked_frames=True).train()
    model(torch.randn(BATCH, SAMPLES), make_mask()).loss.backward()
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())
    model.save_pretrained(tmp_path)
    encoder, loading = Music2VecModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    assert not any("decoder" in name for name, _ in encoder.named_parameters())


@pytest.mark.parametrize("dropped", [False, True])
def test_masks_of_a_clip_share_its_teacher(dropped):
    """R masks of a clip cost one pass of the teacher and give the loss of the clip repeated R times."""
    model = make_model(drop_masked_frames=dropped, hidden_dropout=0.0, attention_dropout=0.0, layerdrop=0.0)
    waveforms, mask = torch.randn(BATCH, SAMPLES), make_mask()
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
