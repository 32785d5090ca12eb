"""What the benchmarks compare is the same mathematics, and their small parts do what they say."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import cost  # noqa: E402
import features  # noqa: E402
import profile_parts  # noqa: E402
import side_by_side  # noqa: E402
import training_step  # noqa: E402

from music2vec import Music2VecForPreTraining  # noqa: E402
from musichubert import MusicHubertForPreTraining  # noqa: E402


def our_weights(model: str, ours: torch.nn.Module, reference: torch.nn.Module) -> None:
    """Copy the weights of our model into the plain one."""
    if model == "music2vec":
        reference.student.load_state_dict(ours.data2vec_audio.state_dict())
        reference.teacher.load_state_dict(ours.data2vec_audio.state_dict())
        reference.final_proj.load_state_dict(ours.final_proj.state_dict())
        ours.update_teacher(0)
    else:
        reference.hubert.load_state_dict(ours.hubert.state_dict())
        reference.final_proj.load_state_dict(ours.heads[0].projection.state_dict())
        reference.label_embeddings.data.copy_(ours.heads[0].label_embeddings)


@pytest.mark.parametrize("model", ["music2vec", "musichubert"])
def test_the_plain_implementation_computes_our_loss_and_gradient(model):
    torch.manual_seed(0)
    network_class = Music2VecForPreTraining if model == "music2vec" else MusicHubertForPreTraining
    ours = network_class(training_step.our_config(model, "tiny")).eval()
    reference = training_step.hf_model(model, "tiny").eval()
    our_weights(model, ours, reference)
    batch = training_step.inputs(ours.config, 1.0, 2)

    expected, actual = reference(**batch), ours(**batch).loss
    expected.backward()
    actual.backward()
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    their_encoder = reference.student if model == "music2vec" else reference.hubert
    gradients = dict(their_encoder.named_parameters())
    for name, parameter in ours.base_model.named_parameters():
        theirs = gradients[name].grad
        error = (parameter.grad - theirs).norm() / theirs.norm().clamp(min=1e-6)
        assert error < 1e-3, name


def test_both_averages_move_alike():
    torch.manual_seed(0)
    ours = Music2VecForPreTraining(training_step.our_config("music2vec", "tiny"))
    reference = training_step.hf_model("music2vec", "tiny")
    our_weights("music2vec", ours, reference)
    for student in (ours.data2vec_audio, reference.student):
        for parameter in student.parameters():
            parameter.data.mul_(1.5).add_(0.1)
    ours.update_teacher(7)
    reference.update_teacher(ours.ema_decay(7))
    for (name, expected), actual in zip(
        reference.teacher.encoder.named_parameters(), ours.teacher.parameters(), strict=True
    ):
        torch.testing.assert_close(actual, expected, msg=name)


def test_a_step_changes_the_weights_and_every_candidate_is_built():
    for candidate in ("hf", "stock"):
        step = training_step.build_step(candidate, "musichubert", "tiny", "bf16", 0.5, 2)
        step()


def test_the_fitted_line_is_found_again():
    operations = np.array([1e9, 2e9, 5e9, 2e10])
    fixed, slope = cost.fit_line(operations, 0.05 + operations / 1e11)
    assert fixed == pytest.approx(0.05) and 1 / slope == pytest.approx(1e11)


def test_cost_and_features_give_a_row_per_size():
    small = {"num_hidden_layers": 1, "hidden_size": 192, "intermediate_size": 96, "conv_dim": [8] * 7}
    rows, _, slope = cost.measure("music2vec", ((0.5, 1), (1.0, 1), (0.5, 2)), 1, **small)
    assert [row["size"] for row in rows] == ["1 x 0.5 s", "1 x 1 s", "2 x 0.5 s"] and slope != 0
    assert rows[1]["gflop"] > 1.9 * rows[0]["gflop"]
    assert len(cost.measure_clusters((10, 20), 1, **small)) == 2
    assert {row["name"] for row in features.compare("tiny", 2, 0.5, 2, 1)} == {"hf", "pooled", "one layer"}


def test_kernels_are_sorted_into_parts():
    step = training_step.build_step("stock", "music2vec", "tiny", "fp32", 0.5, 1)
    seconds = profile_parts.seconds_by_part(step)
    assert set(profile_parts.PARTS) <= set(seconds)
    assert profile_parts.part_of("aten::convolution_backward") == profile_parts.part_of("aten::addmm")
    assert profile_parts.part_of("aten::native_dropout_backward") == "dropout"


def test_rows_are_printed_with_three_digits_and_written_whole(tmp_path, capsys):
    rows = [{"name": "ours", "seconds": 0.123456}, {"name": "hf"}]
    side_by_side.report(tmp_path / "speed.json", "speed", rows, {"seconds": "s/step", "name": "candidate"})
    assert capsys.readouterr().out.splitlines()[:4] == [
        "| s/step | candidate |", "|--------|-----------|", "| 0.123  | ours      |", "| -      | hf        |",
    ]  # fmt: skip
    written = json.loads((tmp_path / "speed.json").read_text())
    assert written["rows"] == rows and written["benchmark"] == "speed" and written["machine"]["cores"] > 0
