"""How many clips fit into one forward and backward pass, and the batch geometry that follows."""

import torch
from accelerate import Accelerator
from accelerate.utils import find_executable_batch_size
from transformers import PreTrainedModel

from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.masking import span_mask
from musicssl.pretraining.planning.cost import count_parameters, estimate_memory_bytes
from musicssl.pretraining.planning.geometry import BatchGeometry, derive_geometry, wanted_clips_per_update

# Without an accelerator's hard limit, stay well below what a laptop has.
CPU_MEMORY_BYTES = 4e9
# Of the clips that just fit, use so many: fragmentation and other crops' labels need room too.
SAFE_SHARE = 0.9


def choose_geometry(arguments: Arguments, accelerator: Accelerator, model: PreTrainedModel) -> BatchGeometry:
    """The geometry of the run; writes the micro-batch it found into `arguments`, so that the recipe repeats it."""
    largest = arguments.micro_batch_clips
    if largest is None:
        wanted = max(1, round(wanted_clips_per_update(arguments) / accelerator.num_processes))
        search = _largest_on_gpu if accelerator.device.type == "cuda" else largest_by_estimate
        found = torch.tensor(search(arguments, accelerator, model, wanted), device=accelerator.device)
        # The tightest device decides for all.
        largest = int(accelerator.gather(found.reshape(1)).min())
    geometry = derive_geometry(arguments, accelerator.num_processes, largest)
    arguments.micro_batch_clips = geometry.micro_batch_clips
    return geometry


def largest_by_estimate(
    arguments: Arguments, accelerator: Accelerator, model: PreTrainedModel, wanted: int
) -> int:
    """Clips per pass that the memory estimate allows, at most `wanted`; needs no weights."""
    num_samples = round(arguments.crop_seconds * model.config.sampling_rate)
    half = accelerator.mixed_precision == "bf16"
    parameters = count_parameters(model)

    def memory(clips: int) -> float:
        passes = clips * arguments.masks_per_clip
        return estimate_memory_bytes(
            model.config, parameters, num_samples, passes, half, arguments.gradient_checkpointing
        )

    per_clip = memory(1) - memory(0)
    budget = CPU_MEMORY_BYTES
    if accelerator.device.type == "cuda":
        budget = SAFE_SHARE * torch.cuda.get_device_properties(accelerator.device).total_memory
    return max(1, min(wanted, int((budget - memory(0)) / per_clip)))


def _largest_on_gpu(arguments: Arguments, accelerator: Accelerator, model: PreTrainedModel, wanted: int) -> int:
    """Try a forward and backward pass of noise, with fewer clips each time memory runs out."""
    num_samples = round(arguments.crop_seconds * model.config.sampling_rate)
    frames = int(model._get_feat_extract_output_lengths(num_samples))

    @find_executable_batch_size(starting_batch_size=wanted)
    def try_pass(clips: int) -> int:
        inputs = {
            "input_values": torch.randn(clips, num_samples, device=accelerator.device),
            "mask_time_indices": span_mask(
                clips * arguments.masks_per_clip, frames, arguments.mask_probability, arguments.mask_span,
                arguments.min_mask_spans, torch.Generator().manual_seed(0),
            ).to(accelerator.device),
        }  # fmt: skip
        if arguments.model == "musichubert":
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
