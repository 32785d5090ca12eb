"""musicHuBERT repeats the reference's first updates: losses, accuracy counts, gradients and weights."""

import pytest
import torch
from replay import ENCODER, GoldenRun, WorstErrors

from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.convert import load_fairseq_weights
from musicssl.pretraining.training.optimizer import make_optimizer

pytestmark = pytest.mark.parity


def make_model() -> MusicHubertForPreTraining:
    return MusicHubertForPreTraining(MusicHubertConfig(**ENCODER, num_clusters=20, projection_dim=16)).train()


@pytest.mark.parametrize("fused", [False, True], ids=["adamw", "fused_adamw"])
def test_parity_of_all_updates(fused):
    golden = GoldenRun("musichubert")
    model = make_model()
    load_fairseq_weights(model, golden.weights("init"))
    optimizer = make_optimizer(model, learning_rate=0.0, fused=fused)
    errors = WorstErrors(f"musicHuBERT{', fused AdamW' * fused}")

    for row in golden.updates:
        update = row["update"]
        waveform, mask, labels = (golden.tensors[name][update] for name in ("waveform", "mask", "labels"))
        optimizer.param_groups[0]["lr"] = row["lr"]
        output = model(waveform, mask, labels, count_unmasked=True)
        optimizer.zero_grad()
        output.loss.backward()
        gradient_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)

        masked_frames = row["masked_frames"]
        counts = {
            "num_masked_frames": masked_frames,
            "num_correct_masked": row["correct_masked"],
            "num_correct_unmasked": row["correct_unmasked"],
            "num_unmasked_frames": row["count_unmasked"],
        }
        figures = {
            "loss": (output.loss, row["total_loss_per_masked_frame"]),
            "cross-entropy": (output.cross_entropy, row["cross_entropy_masked"]),
            "feature penalty": (output.feature_penalty, row["features_penalty_x10_sum"] / 10 / masked_frames),
            "gradient norm": (gradient_norm, row["grad_norm_before_clip"]),
        }
        if update == 0:
            assert {name: getattr(output, name).item() for name in counts} == counts
            for name, (ours, expected) in figures.items():
                errors.relative(f"first update: {name}", ours.item(), expected, 1e-5)
        errors.relative("all updates: loss", output.loss.item(), row["total_loss_per_masked_frame"], 5e-4)
        optimizer.step()

    expected = make_model()
    load_fairseq_weights(expected, golden.weights("final"))
    for ours, theirs in zip(model.state_dict().values(), expected.state_dict().values(), strict=True):
        errors.absolute("weights after the last update", ours, theirs, 1e-4)
    errors.check()
