"""How many clips fit into one forward and backward pass, and the batch geometry that follows."""

import torch
from accelerate import Accelerator
from accelerate.utils import find_executable_batch_size
from transformers import PreTrainedModel

from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.masking import span_mask
from musicssl.pretraining.planning.cost import estimate_memory_bytes
from musicssl.pretraining.planning.geometry import BatchGeometry, derive_geometry, wanted_clips_per_update

# Without an accelerator's hard limit, stay well below what a laptop has.
CPU_MEMORY_BYTES = 4e9
# Share of the clips that just fit to use: fragmentation and the labels of other crops need room too.
SAFE_SHARE = 0.9


def choose_geometry(config: PretrainConfig, accelerator: Accelerator, model: PreTrainedModel) -> BatchGeometry:
    """The geometry of the run: with the micro-batch that the configuration gives, else with the largest that fits."""
    optimisation, crop_seconds = config.optimisation, config.data.crop_seconds
    largest = optimisation.micro_batch_clips
    if largest is None:
        wanted = max(1, round(wanted_clips_per_update(optimisation, crop_seconds) / accelerator.num_processes))
        search = _largest_on_gpu if accelerator.device.type == "cuda" else largest_by_estimate
        found = torch.tensor(search(config, accelerator, model, wanted), device=accelerator.device)
        # The device with the least memory decides for all.
        largest = int(accelerator.gather(found.reshape(1)).min())
    return derive_geometry(optimisation, crop_seconds, accelerator.num_processes, largest)


def largest_by_estimate(config: PretrainConfig, accelerator: Accelerator, model: PreTrainedModel, wanted: int) -> int:
    """Clips per pass that the memory estimate allows, at most `wanted`; needs no weights."""
    weights, with_a_clip = (
        estimate_memory_bytes(config, model, clips, accelerator.mixed_precision == "bf16") for clips in (0, 1)
    )
    budget = CPU_MEMORY_BYTES
    if accelerator.device.type == "cuda":
        budget = SAFE_SHARE * torch.cuda.get_device_properties(accelerator.device).total_memory
    return max(1, min(wanted, int((budget - weights) / (with_a_clip - weights))))


def _largest_on_gpu(config: PretrainConfig, accelerator: Accelerator, model: PreTrainedModel, wanted: int) -> int:
    """Try a forward and backward pass of noise, with fewer clips each time memory runs out."""
    num_samples = round(config.data.crop_seconds * model.config.sampling_rate)
    masking, frames = config.masking, int(model._get_feat_extract_output_lengths(num_samples))

    @find_executable_batch_size(starting_batch_size=wanted)
    def try_pass(clips: int) -> int:
        inputs = {
            "input_values": torch.randn(clips, num_samples, device=accelerator.device),
            "mask_time_indices": span_mask(
                clips * masking.masks_per_clip, frames, masking.mask_probability, masking.mask_span,
                masking.min_mask_spans, torch.Generator().manual_seed(0),
            ).to(accelerator.device),
        }  # fmt: skip
        if config.model.model == "musichubert":
            codebooks = len(model.config.clusters_per_codebook)
            inputs["labels"] = torch.zeros(clips, codebooks, frames, dtype=torch.int64, device=accelerator.device)
            if model.config.auxiliary_dim:
                shape = clips, frames, model.config.auxiliary_dim
                inputs["auxiliary_targets"] = torch.zeros(shape, device=accelerator.device)
        with accelerator.autocast():
            loss = model(**inputs).loss
        loss.backward()
        return clips

    clips = try_pass()
    model.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    return clips if clips == wanted else max(1, int(SAFE_SHARE * clips))
