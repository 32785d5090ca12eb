"""A device without float64 (Apple's mps) can train: all that needs it goes through one door."""

import pytest
import torch
from accelerate.state import AcceleratorState
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from musicssl.distributed import in_float64
from musicssl.errors import UserError
from musicssl.pretraining.model.device import build_accelerator
from musicssl.pretraining.run import train


class NoFloat64(TorchDispatchMode):
    """Fails at the first operation that gives float64; arrays of the host may be (`lift_fresh`: from numpy)."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        results = operation(*args, **(kwargs or {}))
        if operation is not torch.ops.aten.lift_fresh.default:
            tensors = [leaf for leaf in tree_leaves(results) if isinstance(leaf, torch.Tensor)]
            assert all(tensor.dtype != torch.float64 for tensor in tensors), operation
        return results


@pytest.mark.parametrize("model", ["music2vec", "musichubert"])
def test_nothing_else_of_a_run_is_in_float64(model, small_run, tones, tmp_path, monkeypatch):
    config = small_run(model, tmp_path, "--validation_data", tones, "--validation_clips", 2, "--max_updates", 3)
    AcceleratorState._reset_state(True)
    accelerator = build_accelerator(config)
    for module in ("sums", "objectives"):
        monkeypatch.setattr(f"musicssl.pretraining.training.{module}.in_float64", torch.Tensor.float)
    with NoFloat64():
        assert train(config, accelerator).finished


def test_float64_on_its_own_device_where_it_can_be():
    assert in_float64(torch.ones(2)).dtype == torch.float64


def test_a_second_precision_in_one_process_is_refused_in_one_line(small_run, tmp_path):
    AcceleratorState._reset_state(True)
    build_accelerator(small_run("music2vec", tmp_path, "--mixed_precision", "no"))
    with pytest.raises(UserError, match="--mixed_precision bf16: .* start a new process") as error:
        build_accelerator(small_run("music2vec", tmp_path, "--mixed_precision", "bf16"))
    assert "\n" not in str(error.value)
    AcceleratorState._reset_state(True)
