"""Validation on held-out clips: the same crops, the same masks, every time."""

from collections.abc import Iterable
from itertools import islice

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object

from musicssl.audio.loader import CropLoader
from musicssl.errors import UserError
from musicssl.pretraining.randomness import VALIDATION, derive_seed, mask_generator
from musicssl.pretraining.training.objectives import Objective
from musicssl.pretraining.training.sums import MetricSums, MetricWindow, mean_metrics


class Validator:
    """Measures the objective's metrics on one pass over at most `num_clips` held-out clips.

    Args:
        loader: gives one epoch in a fixed order, its share to each process.
        objective: one of its own, so that its label counts stay out of training's.
    """

    def __init__(self, loader: CropLoader, objective: Objective, accelerator: Accelerator, seed: int, num_clips: int):
        self.loader = loader
        self.start = loader.state_dict()
        self.objective = objective
        self.accelerator = accelerator
        self.seed = derive_seed(seed, VALIDATION)
        self.num_batches = -(-num_clips // (loader.batch_size * accelerator.num_processes))

    @torch.no_grad()
    def evaluate(self, model: torch.nn.Module) -> dict[str, float]:
        """Mean metrics over all masked (or unmasked) frames of all processes; the model is left in training mode.

        Raises:
            UserError: no clip could be used; with sharded parameters, on some process.
        """
        # Not through the data-parallel wrapper: processes may have different numbers of batches, even none.
        inner = self.accelerator.unwrap_model(model)
        inner.eval()
        sums = MetricSums()
        self.loader.load_state_dict(self.start)
        batches: Iterable[dict] = islice(self.loader, self.num_batches)
        if self.accelerator.distributed_type == DistributedType.FSDP:
            # Every forward pass gathers shards from all processes: one that has no more batches ends it for all.
            own = list(batches)
            batches = own[: min(gather_object([len(own)]))]
        for index, batch in enumerate(batches):
            generator = mask_generator(self.seed, self.accelerator.process_index, index)
            inputs = self.objective.prepare(batch, generator)
            sums.add(self.objective.metrics(inner(**inputs)))
        self.objective.reset_label_counts()
        inner.train()
        totals = MetricWindow()
        for of_process in gather_object([sums.local()]):
            totals.add(of_process)
        if not totals.totals:
            raise UserError(
                "--validation_data: no clip could be used; see bad_validation_files.jsonl, check --crop_seconds, or, "
                "with sharded parameters, give a batch of clips for every process"
            )
        return mean_metrics(totals.totals)
