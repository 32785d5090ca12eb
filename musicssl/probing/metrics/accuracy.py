"""Accuracy: the share of clips whose predicted class is the labelled one (micro, as MARBLE's)."""

import datasets
import evaluate
import numpy as np

DESCRIPTION = "Share of clips whose predicted class is the labelled one."


class Accuracy(evaluate.Metric):
    """`compute(predictions=[class index], references=[class index])` -> {"accuracy": float}."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", features=features)

    def _compute(self, predictions, references) -> dict[str, float]:
        return {"accuracy": float(np.mean(np.asarray(predictions) == np.asarray(references)))}
