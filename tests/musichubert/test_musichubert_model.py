"""musicHuBERT: its label embeddings, its loss, its counts and its gradients."""

import math

import pytest
import torch
import torch.nn.functional as F

from musichubert import MusicHubertConfig, MusicHubertForPreTraining

BATCH, SAMPLES, FRAMES = 2, 8000, 24


def make_model(**settings) -> MusicHubertForPreTraining:
    settings = {
        "conv_dim": [16] * 7,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_clusters": 11,
        "projection_dim": 8,
        **settings,
    }
    return MusicHubertForPreTraining(MusicHubertConfig(**settings)).eval()


def make_batch(codebooks: int = 1, clusters: int = 11):
    """Waveforms (B, N), mask (B, T), labels (B, C, T)."""
    labels = torch.randint(0, clusters, (BATCH, codebooks, FRAMES))
    return torch.randn(BATCH, SAMPLES), torch.rand(BATCH, FRAMES) < 0.5, labels


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_defaults_are_the_references():
    config = MusicHubertConfig()
    assert (config.num_reserved_classes, config.projection_dim, config.logit_temperature) == (4, 256, 0.1)
    assert (config.feature_gradient_scale, config.feature_penalty_weight) == (0.1, 10.0)
    assert (config.layerdrop, config.activation_dropout, config.feat_proj_dropout) == (0.05, 0.0, 0.1)
    assert (config.feat_extract_norm, config.do_stable_layer_norm) == ("group", False)


@pytest.mark.parametrize("num_clusters", [0, [], [5, 0]])
def test_codebooks_without_clusters_are_refused(num_clusters):
    with pytest.raises(ValueError, match="num_clusters"):
        MusicHubertConfig(num_clusters=num_clusters)


def test_cross_entropy_is_the_references_with_the_positive_first():
    """The reference scores [positive, all classes] and removes the positive's duplicate with -inf."""
    model = make_model()
    head = model.heads[0]
    frames, target = torch.randn(30, 32), torch.randint(4, 15, (30,))
    projected = head.projection(frames)
    positive = F.cosine_similarity(projected, head.label_embeddings[target], dim=-1)
    negatives = F.cosine_similarity(projected[:, None], head.label_embeddings[None], dim=-1)
    negatives[torch.arange(30), target] = -torch.inf
    expected = F.cross_entropy(torch.cat([positive[:, None], negatives], 1) / 0.1, torch.zeros(30, dtype=torch.long))
    torch.testing.assert_close(F.cross_entropy(head(frames), target), expected)


def test_labels_start_after_the_reserved_classes():
    model = make_model(num_reserved_classes=3)
    waveform, mask, labels = make_batch()
    output = model(waveform, mask, labels, output_hidden_states=True)
    logits = model.heads[0](output.hidden_states[-1])
    assert logits.shape[-1] == 3 + 11
    expected = F.cross_entropy(logits[mask], labels[:, 0][mask] + 3)
    torch.testing.assert_close(output.cross_entropy, expected)
    correct = logits.argmax(-1) == labels[:, 0] + 3
    assert output.num_correct_masked == correct[mask].sum()
    assert output.num_correct_unmasked == correct[~mask].sum()
    assert output.num_unmasked_frames == (~mask).sum()


def test_unmasked_frames_are_counted_only_when_asked_for_in_training():
    model, batch = make_model().train(), make_batch()
    assert model(*batch).num_correct_unmasked is None
    assert model(*batch, count_unmasked=True).num_correct_unmasked is not None
    assert model.eval()(*batch, count_unmasked=False).num_correct_unmasked is None


def test_loss_at_the_start_is_that_of_guessing():
    model = make_model(num_clusters=500, projection_dim=256)
    output = model(*make_batch(clusters=500))
    assert output.cross_entropy.item() == pytest.approx(math.log(504), rel=0.03)


def test_loss_adds_the_feature_penalty():
    model = make_model(feature_penalty_weight=3.0)
    waveform, mask, labels = make_batch()
    output = model(waveform, mask, labels)
    penalty = model.hubert.extract(waveform).square().mean()
    torch.testing.assert_close(output.feature_penalty, penalty)
    torch.testing.assert_close(output.loss, output.cross_entropy + 3.0 * penalty)


def test_codebooks_add_up():
    model = make_model(num_clusters=[11, 7], feature_penalty_weight=0.0)
    waveform, mask, labels = make_batch(codebooks=2, clusters=7)
    both = model(waveform, mask, labels)
    singles = []
    for index, clusters in enumerate((11, 7)):
        single = make_model(num_clusters=clusters, feature_penalty_weight=0.0)
        single.hubert.load_state_dict(model.hubert.state_dict())
        single.heads[0].load_state_dict(model.heads[index].state_dict())
        singles.append(single(waveform, mask, labels[:, index]))
    torch.testing.assert_close(both.loss, singles[0].loss + singles[1].loss)
    assert both.num_correct_masked_per_codebook.tolist() == [s.num_correct_masked.item() for s in singles]
    assert both.num_correct_masked == both.num_correct_masked_per_codebook.sum()
    assert both.num_correct_unmasked == sum(s.num_correct_unmasked for s in singles)


def test_labels_for_other_codebooks_are_refused():
    with pytest.raises(ValueError, match="2 codebooks, but the model has 1"):
        make_model()(*make_batch(codebooks=2))


def test_auxiliary_head_regresses_masked_frames():
    model = make_model(auxiliary_dim=5, auxiliary_weight=0.5, feature_penalty_weight=0.0)
    waveform, mask, labels = make_batch()
    targets = torch.randn(BATCH, FRAMES + 1, 5)
    output = model(waveform, mask, labels, targets, output_hidden_states=True)
    predicted = model.auxiliary_head(output.hidden_states[-1])
    torch.testing.assert_close(output.auxiliary_loss, F.mse_loss(predicted[mask], targets[:, :FRAMES][mask]))
    torch.testing.assert_close(output.loss, output.cross_entropy + 0.5 * output.auxiliary_loss)
    with pytest.raises(ValueError, match="auxiliary_targets"):
        model(waveform, mask, labels)


def test_longer_labels_are_cut_and_shorter_ones_cut_the_clip():
    model = make_model()
    waveform, mask, labels = make_batch()
    longer = model(waveform, mask, F.pad(labels, (0, 3)))
    torch.testing.assert_close(longer.loss, model(waveform, mask, labels).loss)
    shorter = model(waveform, mask, labels[..., :20], output_hidden_states=True)
    assert shorter.hidden_states[-1].shape[1] == 20
    assert shorter.num_masked_frames == mask[:, :20].sum()
    assert shorter.num_masked_frames + shorter.num_unmasked_frames == BATCH * 20


def test_gradient_into_the_convolutions_is_scaled_down():
    gradients = {}
    for scale in (1.0, 0.1):
        torch.manual_seed(0)
        model = make_model(feature_gradient_scale=scale)
        model(*make_batch()).loss.backward()
        gradients[scale] = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, gradient in gradients[1.0].items():
        scale = 0.1 if ".feature_extractor." in name else 1.0
        torch.testing.assert_close(gradients[0.1][name], scale * gradient, rtol=1e-4, atol=1e-7)


def test_heads_and_positional_convolution_start_as_the_references():
    model = make_model(hidden_size=64, num_clusters=200)
    weight = model.hubert.encoder.pos_conv_embed.conv.weight
    assert weight.std().item() == pytest.approx(math.sqrt(4 / (128 * 64)), rel=0.02)
    assert not model.hubert.encoder.pos_conv_embed.conv.bias.any()
    head = model.heads[0]
    assert 0 <= head.label_embeddings.min() < 0.05 and 0.95 < head.label_embeddings.max() <= 1
    assert head.projection.weight.abs().max() <= 1 / 8
    assert head.projection.weight.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.1)
    assert head.projection.bias.any()


def test_gradient_scale_zero_freezes_the_convolutions_and_nothing_else():
    model = make_model(feature_gradient_scale=0.0)
    model(*make_batch()).loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (".feature_extractor." in name), name


def test_normalised_auxiliary_targets_ignore_level_and_offset():
    model = make_model(auxiliary_dim=6, normalize_auxiliary=True)
    waveform, mask, labels = make_batch()
    targets = torch.randn(BATCH, FRAMES, 6)
    expected = model(waveform, mask, labels, targets).auxiliary_loss
    louder = targets * torch.tensor([3.0, 0.5])[:, None, None] - 7.0
    torch.testing.assert_close(model(waveform, mask, labels, louder).auxiliary_loss, expected, rtol=1e-3, atol=0)


def test_unmasked_frames_add_their_mean_loss_by_weight():
    model = make_model(num_clusters=[11, 11], auxiliary_dim=6, auxiliary_weight=0.5)
    waveform, mask, labels = make_batch(codebooks=2)
    auxiliary = torch.randn(BATCH, FRAMES, 6)
    plain = model(waveform, mask, labels, auxiliary)
    model.config.unmasked_weight = 0.3
    weighted = model(waveform, mask, labels, auxiliary, output_hidden_states=True)
    states = weighted.hidden_states[-1][~mask]
    expected = 0.5 * F.mse_loss(model.auxiliary_head(states), auxiliary[~mask])
    for head, target in zip(model.heads, labels.unbind(1), strict=True):
        expected = expected + F.cross_entropy(head(states), target[~mask] + 4)
    torch.testing.assert_close(weighted.loss, plain.loss + 0.3 * expected)
    assert weighted.cross_entropy == plain.cross_entropy


def test_unmasked_weight_does_nothing_where_everything_is_masked():
    model = make_model()
    waveform, mask, labels = make_batch()
    expected = model(waveform, torch.ones_like(mask), labels).loss
    model.config.unmasked_weight = 1.0
    assert model(waveform, torch.ones_like(mask), labels).loss == expected


def test_masks_of_a_clip_share_its_front_end():
    model = make_model(num_clusters=[11, 11], auxiliary_dim=5, unmasked_weight=1.0)
    waveforms, mask, labels = make_batch(codebooks=2)
    masks = torch.stack([mask, ~mask], dim=1).flatten(0, 1)
    auxiliary = torch.randn(BATCH, FRAMES, 5)
    passes = []
    model.hubert.feature_extractor.conv_layers[0].register_forward_hook(
        lambda module, args, output: passes.append(len(output))
    )
    together = model(waveforms, masks, labels, auxiliary)
    assert passes == [BATCH]
    twice = [tensor.repeat_interleave(2, dim=0) for tensor in (waveforms, labels, auxiliary)]
    repeated = model(twice[0], masks, twice[1], twice[2])
    torch.testing.assert_close(together.loss, repeated.loss)
    assert together.num_masked_frames == BATCH * FRAMES
