"""How a batch is spread over processes and micro-batches makes no difference."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator, debug_launcher
from accelerate.state import AcceleratorState

from musicssl.errors import UserError
from musicssl.pretraining.config.parsing import parse_arguments
from musicssl.pretraining.model.building import build_model, build_model_config
from musicssl.pretraining.planning.geometry import derive_geometry, wanted_clips_per_update
from musicssl.pretraining.training.objectives import Music2VecObjective, MusicHubertObjective
from musicssl.pretraining.training.update import compute_gradients

MICRO_BATCHES = 4


class FixedLabels:
    """A labeller that cuts the loudness of the waveform into eight."""

    label_features = ["loudness"]
    num_clusters = [8]

    def to(self, device):
        return self

    def label_batch(self, batch, waveforms):
        frames = waveforms.unfold(-1, 400, 320).std(-1)
        return torch.bucketize(frames, torch.linspace(0.5, 1.5, 7))[:, None]

    def auxiliary_targets(self, waveforms):
        return None


def one_update(config, accelerator, model, objective, micro_batches):
    """What `compute_gradients` needs of a run."""
    geometry = SimpleNamespace(accumulation=micro_batches)
    return SimpleNamespace(
        config=config, accelerator=accelerator, model=model, objective=objective, geometry=geometry, update=0
    )


def gradients_of(config, accelerator):
    """Gradients of one update of four micro-batches, dealt out over the processes; also its loss and norm."""
    model = build_model(config.model, build_model_config(config.model, [8]), config.optimisation.seed)
    config = config.with_flags(seed=5, max_grad_norm=1.0)
    if config.model.model == "music2vec":
        objective = Music2VecObjective(model, config.masking, True, accelerator.device)
    else:
        objective = MusicHubertObjective(model, config.masking, False, accelerator.device, FixedLabels())
    prepared = accelerator.prepare(model)
    waveforms = torch.randn(MICRO_BATCHES, 2, 16000, generator=torch.Generator().manual_seed(3))
    mine = waveforms[accelerator.process_index :: accelerator.num_processes]
    unknown = torch.full((2,), torch.nan)
    batches = ({"waveform": waveform, "clip_mean": unknown, "clip_std": unknown} for waveform in mine)
    result = compute_gradients(one_update(config, accelerator, prepared, objective, len(mine)), batches)
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return gradients, result


def in_processes(config, path):
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(cpu=True)
    gradients, result = gradients_of(config, accelerator)
    if accelerator.is_main_process:
        torch.save((gradients, result.loss, result.grad_norm), path)


@pytest.mark.parametrize("model", ["music2vec", "musichubert"])
def test_one_process_two_and_four_agree(model, small_run, tmp_path):
    """1 x accumulation 4 = 2 x 2 = 4 x 1, with dropout on and masks of unequal counts."""
    config = small_run(model, tmp_path, "--model_config", "hidden_dropout=0.1")
    AcceleratorState._reset_state(True)
    whole, result = gradients_of(config, Accelerator(cpu=True))
    assert result.grad_norm > 1  # so that clipping is tested too
    for processes in (2, 4):
        path = tmp_path / f"{processes}.pt"
        debug_launcher(in_processes, (config, path), num_processes=processes)
        spread, loss, grad_norm = torch.load(path)
        assert loss == pytest.approx(result.loss, rel=1e-6)
        assert grad_norm == pytest.approx(result.grad_norm, rel=1e-5)
        assert spread.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(spread[name], gradient, atol=1e-6, rtol=1e-6, msg=name)


@pytest.mark.parametrize("model", ["music2vec", "musichubert"])
def test_gradient_checkpointing_changes_no_gradient(model, small_run, tmp_path):
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(cpu=True)
    flags = ["--model_config", "hidden_dropout=0.1", "activation_dropout=0.1"]
    plain, _ = gradients_of(small_run(model, tmp_path, *flags), accelerator)
    recomputed, _ = gradients_of(small_run(model, tmp_path, *flags, "--gradient_checkpointing"), accelerator)
    for name, gradient in plain.items():
        torch.testing.assert_close(recomputed[name], gradient, atol=1e-6, rtol=1e-5, msg=name)


def test_gradient_is_that_of_the_mean_over_all_masked_frames(small_run, tmp_path):
    """Four micro-batches with different numbers of masked frames = one backward pass of all eight clips."""
    flags = ["--model_config", "hidden_dropout=0.0", "--equal_mask_counts", "false"]
    config = small_run("music2vec", tmp_path, *flags, "--seed", 5, "--max_grad_norm", 0)
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(cpu=True)
    model = build_model(config.model, build_model_config(config.model), seed=1)
    objective = Music2VecObjective(model, config.masking, True, accelerator.device)
    waveforms = torch.randn(8, 16000, generator=torch.Generator().manual_seed(1))
    unknown = torch.full((2,), torch.nan)
    batches = [{"waveform": pair, "clip_mean": unknown, "clip_std": unknown} for pair in waveforms.split(2)]
    inputs = []
    original = objective.prepare
    objective.prepare = lambda *args: inputs.append(original(*args)) or inputs[-1]
    compute_gradients(one_update(config, accelerator, model, objective, 4), iter(batches))
    accumulated = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert len({int(one["mask_time_indices"].sum()) for one in inputs}) > 1
    model.zero_grad()
    together = {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}
    model(**together).loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(accumulated[name], parameter.grad, atol=1e-6, rtol=1e-5, msg=name)


def batch_for(*flags):
    """The optimization and the length of crops that flags ask for."""
    config = parse_arguments(["--model", "music2vec", "--dry_run", *flags])[0]
    return config.optimisation, config.data.crop_seconds


def test_crops_are_packed_like_the_reference():
    flags = ["--audio_seconds_per_update", "3800", "--packing_devices", "16"]
    assert wanted_clips_per_update(*batch_for(*flags, "--crop_seconds", "30")) == 112
    assert wanted_clips_per_update(*batch_for(*flags, "--crop_seconds", "5")) == 752


@pytest.mark.parametrize(("world_size", "largest"), [(1, 5), (2, 7), (3, 4), (16, 47), (8, 1000)])
def test_geometry_is_near_what_was_asked_for(world_size, largest):
    batch = batch_for("--audio_seconds_per_update", "3760", "--crop_seconds", "5")
    geometry = derive_geometry(*batch, world_size, largest)
    assert geometry.micro_batch_clips <= largest
    assert geometry.clips_per_update == pytest.approx(752, rel=0.05)
    if world_size in (1, 2, 16):
        assert geometry.clips_per_update == 752


def test_impossible_geometry_names_the_flags():
    batch = batch_for("--audio_seconds_per_update", "30", "--crop_seconds", "10", "--micro_batch_clips", "2")
    with pytest.raises(UserError, match="--micro_batch_clips.*fewer processes"):
        derive_geometry(*batch, world_size=4, largest_micro_batch=2)
