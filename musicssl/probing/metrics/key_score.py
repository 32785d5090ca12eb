"""The weighted score of musical key estimation, as GiantSteps key is reported ("refined accuracy").

Keys are 0-11 for C..B major and 12-23 for C..B minor. Equal 1.0; a perfect fifth above the reference in the same
mode 0.5; relative major or minor 0.3; parallel 0.2; else 0. Only the ascending fifth counts, as in mir_eval 0.8.2,
which the published numbers used; later versions of mir_eval can credit the descending one too.
"""

import datasets
import evaluate
import numpy as np

DESCRIPTION = "Weighted key score (mir_eval 0.8.2's `key.weighted_score`) and plain accuracy."


def weighted_score(reference: int, estimate: int) -> float:
    """Score of one estimated key, both 0-23."""
    if reference == estimate:
        return 1.0
    tonic, minor = reference % 12, reference >= 12
    fifth = (tonic + 7) % 12 + 12 * minor
    relative = (tonic + 3) % 12 if minor else (tonic + 9) % 12 + 12
    parallel = (reference + 12) % 24
    return {fifth: 0.5, relative: 0.3, parallel: 0.2}.get(estimate, 0.0)


KEY_SCORES = [[weighted_score(reference, estimate) for estimate in range(24)] for reference in range(24)]


class KeyScore(evaluate.Metric):
    """`compute(predictions=[key 0-23], references=[key 0-23])` -> {"key_score", "accuracy"}."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", features=features)

    def _compute(self, predictions, references) -> dict[str, float]:
        predictions, references = np.asarray(predictions), np.asarray(references)
        scores = np.asarray(KEY_SCORES)[references, predictions]
        return {"key_score": float(scores.mean()), "accuracy": float((predictions == references).mean())}
