"""Span masks: the reference's rules and its realised masked fractions."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from musicssl.pretraining.masking import span_mask


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Frames, clips, probability, span, fewest spans; masked fraction before and after equalising the counts, as measured
# on the reference's own function over 150 batches.
REFERENCE_FRACTIONS = [
    (999, 11, 0.65, 10, 1, 0.490, 0.457),
    (1499, 7, 0.65, 10, 1, 0.489, 0.466),
    (749, 15, 0.65, 10, 1, 0.490, 0.448),
    (499, 23, 0.65, 10, 1, 0.491, 0.434),
    (249, 47, 0.65, 10, 1, 0.493, 0.396),
    (1499, 7, 0.50, 10, 1, 0.402, 0.382),
    (1499, 7, 0.80, 10, 1, 0.567, 0.542),
    (1499, 7, 0.65, 5, 1, 0.502, 0.487),
    (1499, 7, 0.65, 15, 1, 0.486, 0.457),
    (781, 4, 0.80, 10, 2, 0.566, 0.540),
    (1499, 2, 0.80, 10, 2, 0.564, 0.554),
    (249, 12, 0.80, 10, 2, 0.568, 0.495),
    (249, 32, 0.80, 10, 2, 0.567, 0.472),
]


@pytest.mark.parametrize("row", REFERENCE_FRACTIONS, ids=str)
def test_realised_fractions_are_the_references(row):
    frames, batch, probability, span, min_spans, before, after = row
    for equal_counts, expected in ((False, before), (True, after)):
        generator = seeded()
        masks = [span_mask(batch, frames, probability, span, min_spans, generator, equal_counts) for _ in range(100)]
        assert torch.stack(masks).float().mean().item() == pytest.approx(expected, abs=0.006)


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 9),
    frames=st.integers(40, 300),
    probability=st.floats(0.0, 0.9),
    span=st.integers(1, 12),
    min_spans=st.integers(0, 2),
    seed=st.integers(0, 10_000),
)
def test_rules_hold_for_any_setting(batch, frames, probability, span, min_spans, seed):
    assume(frames - span > probability * frames / span + 1)
    arguments = (batch, frames, probability, span, min_spans)
    free = span_mask(*arguments, seeded(seed), equal_counts=False)
    equal = span_mask(*arguments, seeded(seed))
    assert free.shape == equal.shape == (batch, frames) and free.dtype == torch.bool
    assert not free[:, -1].any(), "the last frame is never masked"
    counts = equal.sum(dim=1)
    assert (counts == free.sum(dim=1).min()).all(), "every clip has the smallest count"
    assert not (equal & ~free).any(), "frames are only dropped"
    # Each clip is a union of its number of spans: rounded down or up, at least `min_spans`.
    mean_spans = probability * frames / span
    most, fewest = max(int(mean_spans) + 1, min_spans), max(int(mean_spans), min_spans)
    assert (free.sum(dim=1) <= most * span).all()
    assert (free.sum(dim=1) >= (span if fewest else 0) + max(fewest - 1, 0)).all()
    for row in free.int():
        runs = torch.diff(row, prepend=row.new_zeros(1)).eq(1).sum().item()
        assert runs <= most and (runs == 0 or row.sum() >= runs * span), "no run is shorter than a span"


def test_same_seed_same_mask_and_the_generator_moves_on():
    generator = seeded(3)
    first, second = (span_mask(4, 249, 0.65, 10, 1, generator) for _ in range(2))
    assert torch.equal(first, span_mask(4, 249, 0.65, 10, 1, seeded(3)))
    assert not torch.equal(first, second)


def test_starts_are_uniform_over_the_allowed_frames():
    single_spans = span_mask(6000, 40, 0.0, 10, 1, seeded(), equal_counts=False)
    first = single_spans.int().argmax(dim=1)
    assert set(first.tolist()) == set(range(30))
    assert (torch.bincount(first) / 6000 * 30 - 1).abs().max() < 0.35


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 11, 0.65, 10, 2), "too short"),
        ((2, 5, 0.65, 10, 1), "too short"),
        ((2, 249, 1.5, 10, 1), "probability"),
        ((2, 249, 0.65, 0, 1), "span"),
    ],
)
def test_impossible_masks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        span_mask(*arguments, seeded())
