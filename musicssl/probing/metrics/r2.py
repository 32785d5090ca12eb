"""Coefficient of determination, one per regressed dimension (MARBLE reports arousal and valence apart)."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import r2_score

DESCRIPTION = "R2 of each dimension and their mean."


class R2(evaluate.Metric):
    """`compute(predictions=[values per dimension], references=[...])` -> {"r2": mean, "r2_per_dimension": list}.

    A dimension whose references are all equal has no R2 (NaN) and is left out of the mean.
    """

    def _info(self) -> evaluate.MetricInfo:
        values = datasets.Sequence(datasets.Value("float64"))
        features = datasets.Features({"predictions": values, "references": values})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", features=features)

    def _compute(self, predictions, references) -> dict[str, object]:
        predictions, references = np.asarray(predictions), np.asarray(references)
        scores = [
            r2_score(references[:, each], predictions[:, each]) if np.ptp(references[:, each]) > 0 else float("nan")
            for each in range(references.shape[1])
        ]
        defined = [score for score in scores if not np.isnan(score)]
        return {"r2": float(np.mean(defined)) if defined else float("nan"), "r2_per_dimension": scores}
