"""Validation where no process may run ahead of another."""

from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType

from musicssl.errors import UserError
from musicssl.pretraining.training import validation
from musicssl.pretraining.training.validation import Validator


class Batches(list):
    """Stands in for the loader of one process."""

    batch_size = 1

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        """It begins anew by itself."""


@pytest.fixture
def evaluate(monkeypatch):
    """evaluate(distributed_type, own batches, batches of the other process) -> values that the model has seen."""

    def run(distributed_type, batches, others):
        seen = []
        objective = SimpleNamespace(
            prepare=lambda batch, generator: {"value": batch},
            metrics=lambda value: {"loss/masked": (torch.tensor(value), torch.tensor(1.0))},
            reset_label_counts=lambda: None,
        )
        model = torch.nn.Identity()
        model.forward = lambda value: seen.append(value) or value
        accelerator = SimpleNamespace(
            num_processes=2, process_index=0, distributed_type=distributed_type, unwrap_model=lambda model: model
        )
        # The other process tells how many batches it has, and nothing of their sums.
        monkeypatch.setattr(
            validation, "gather_object", lambda own: own + ([others] if isinstance(own[0], int) else [])
        )
        value = Validator(Batches(batches), objective, accelerator, 0, 2 * len(batches)).evaluate(model)["loss/masked"]
        assert model.training and value == sum(seen) / len(seen)
        return seen

    return run


def test_sharded_processes_stop_together(evaluate):
    """A forward pass of one alone would wait for the others' shards for ever."""
    assert evaluate(DistributedType.FSDP, [1.0, 2.0, 4.0], 2) == [1.0, 2.0]
    assert evaluate(DistributedType.FSDP, [1.0, 2.0], 3) == [1.0, 2.0]
    assert evaluate(DistributedType.MULTI_GPU, [1.0, 2.0, 4.0], 2) == [1.0, 2.0, 4.0]
    with pytest.raises(UserError, match="a batch of clips for every process"):
        evaluate(DistributedType.FSDP, [1.0, 2.0], 0)
