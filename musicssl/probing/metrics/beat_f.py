"""Beat F-measure three ways: corpus-micro at 70 ms (comparable to MARBLE), mean per track at 70 ms, micro at 20 ms.

Micro pools matches, estimates and references of all tracks into one F. MARBLE's papers say 20 ms, both of its code
versions use 70 ms; the first five seconds are kept (MARBLE v1).
"""

import datasets
import evaluate
import numpy as np
from mir_eval.util import match_events
from numpy.typing import ArrayLike

DESCRIPTION = "Beat F-measure: corpus-micro at 70 ms and 20 ms, and the mean per track at 70 ms."


def match_counts(reference: ArrayLike, estimate: ArrayLike, tolerance_seconds: float) -> tuple[int, int, int]:
    """(matches, estimated beats, reference beats) of one track, times in seconds."""
    reference, estimate = np.asarray(reference), np.asarray(estimate)
    matches = len(match_events(reference, estimate, tolerance_seconds)) if len(reference) and len(estimate) else 0
    return matches, len(estimate), len(reference)


def f_measure(counts: np.ndarray) -> np.ndarray:
    """(..., 3) counts of `match_counts` -> (...) F = 2 matches / (estimates + references); nothing at all is 0."""
    counts = np.asarray(counts, dtype=float)
    return 2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1)


class BeatF(evaluate.Metric):
    """`compute(predictions=[beat times in s], references=[beat times in s])`, one list per track.

    Returns:
        {"beat_f1_70ms_micro", "beat_f1_70ms", "beat_f1_20ms_micro"}.
    """

    def _info(self) -> evaluate.MetricInfo:
        times = datasets.Sequence(datasets.Value("float64"))
        features = datasets.Features({"predictions": times, "references": times})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", features=features)

    def _compute(self, predictions, references) -> dict[str, float]:
        tracks = list(zip(references, predictions, strict=True))
        wide = np.array([match_counts(*track, 0.07) for track in tracks])
        narrow = np.array([match_counts(*track, 0.02) for track in tracks])
        return {
            "beat_f1_70ms_micro": float(f_measure(wide.sum(axis=0))),
            "beat_f1_70ms": float(f_measure(wide).mean()),
            "beat_f1_20ms_micro": float(f_measure(narrow.sum(axis=0))),
        }
