"""Span masks for pre-training, by the rules of the reference (fairseq `data_utils.compute_mask_indices`).

Shapes: B clips, T frames.
"""

import torch


def span_mask(
    batch: int,
    frames: int,
    probability: float,
    span: int,
    min_spans: int,
    generator: torch.Generator,
    equal_counts: bool = True,
) -> torch.Tensor:
    """Draw the masked frames of a batch.

    Each clip gets `probability * frames / span` spans, rounded up or down at random and at least `min_spans`. Their
    starts are drawn without replacement from [0, frames - span), so spans may overlap and the last frame is never
    masked. With `equal_counts` every clip then drops single frames at random down to the smallest count of the
    batch, which makes the masked fraction depend on the batch size: about 0.49 becomes 0.47 for 7 clips of 30 s and
    0.40 for 47 clips of 5 s (probability 0.65, span 10).

    Args:
        probability: upper bound of the masked fraction; overlaps keep it below.
        generator: seeded; the mask is made on its device, without a wait for that device.

    Returns:
        bool (batch, frames), True where masked.

    Raises:
        ValueError: a setting is out of range, or the clips are too short for their spans.
    """
    if not 0 <= probability <= 1 or span < 1 or min_spans < 0:
        raise ValueError(f"probability {probability}, span {span} and min_spans {min_spans} do not make a mask")
    mean_spans = probability * frames / span
    max_spans = max(int(mean_spans) + 1, min_spans)
    num_starts = frames - span
    if num_starts < max_spans:
        raise ValueError(f"{frames} frames are too short for {max_spans} spans of {span} frames: use longer crops")

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    num_spans = (mean_spans + uniform(batch, 1)).to(torch.int64).clamp(min=min_spans)
    chosen = uniform(batch, num_starts).argsort(dim=1)[:, :max_spans]
    is_start = torch.zeros(batch, frames, dtype=torch.int64, device=generator.device)
    is_start.scatter_(1, chosen, (torch.arange(max_spans, device=generator.device) < num_spans).long())
    # A frame is masked if a span started at most `span - 1` frames before it.
    started = is_start.cumsum(dim=1)
    started[:, span:] -= started[:, :-span].clone()
    mask = started > 0

    if equal_counts:
        # Rank the masked frames of each clip in random order, unmasked ones last, and keep the first `smallest`.
        order = uniform(batch, frames).masked_fill(~mask, 2.0).argsort(dim=1)
        smallest = mask.sum(dim=1).min()
        kept = torch.arange(frames, device=generator.device) < smallest
        mask = torch.zeros_like(mask).scatter_(1, order, kept.expand(batch, -1))
    return mask
