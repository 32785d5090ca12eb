"""music2vec repeats the reference's first updates: losses, health figures, gradients, student and teacher."""

import pytest
import torch
import torch.nn.functional as F
from replay import ENCODER, GoldenRun, WorstErrors

from music2vec import Music2VecConfig, Music2VecForPreTraining
from musicssl.convert import load_fairseq_weights
from musicssl.pretraining.training.optimizer import make_optimizer

pytestmark = pytest.mark.parity


def make_model() -> Music2VecForPreTraining:
    return Music2VecForPreTraining(
        Music2VecConfig(**ENCODER, average_top_k_layers=2, ema_decay=0.9, ema_end_decay=0.99, ema_anneal_end_step=4)
    ).train()


@pytest.mark.parametrize("fused", [False, True], ids=["adamw", "fused_adamw"])
def test_parity_of_all_updates(fused):
    golden = GoldenRun("music2vec")
    model = make_model()
    load_fairseq_weights(model, golden.weights("init"))
    optimizer = make_optimizer(model, learning_rate=0.0, fused=fused)
    errors = WorstErrors(f"music2vec{', fused AdamW' * fused}")

    for row in golden.updates:
        update = row["update"]
        waveform = golden.tensors["waveform"][update]
        optimizer.param_groups[0]["lr"] = row["lr"]
        model.update_teacher(update)
        output = model(F.layer_norm(waveform, waveform.shape[1:]), golden.tensors["mask"][update])
        optimizer.zero_grad()
        output.loss.backward()
        gradient_norm = torch.nn.utils.get_total_norm(p.grad for p in model.parameters() if p.requires_grad)

        assert output.num_masked_frames == row["masked_frames"]
        errors.relative("EMA decay", model.ema_decay(update), row["ema_decay"], 1e-12)
        figures = {
            "loss": (output.loss, row["loss_per_masked_frame"]),
            "target std": (output.target_std, row["target_std"]),
            "prediction std": (output.prediction_std, row["pred_std"]),
            "gradient norm": (gradient_norm, row["grad_norm"]),
        }
        for name, (ours, expected) in figures.items():
            if update == 0:
                errors.relative(f"first update: {name}", ours.item(), expected, 1e-5)
        errors.relative("all updates: loss", output.loss.item(), row["loss_per_masked_frame"], 5e-4)
        optimizer.step()

    expected = make_model()
    teacher = golden.weights("teacher_after_last_update_before_ema_step")
    load_fairseq_weights(expected, {**golden.weights("final"), "_ema": teacher})
    for (name, ours), theirs in zip(model.state_dict().items(), expected.state_dict().values(), strict=True):
        part = "teacher" if name.startswith("teacher.") else "student"
        errors.absolute(f"weights after the last update: {part}", ours, theirs, 1e-4)
    errors.check()
