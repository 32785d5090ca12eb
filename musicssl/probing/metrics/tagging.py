"""Macro ROC-AUC and average precision of multilabel tagging, with an explicit rule for absent tags.

A tag without a positive clip has no average precision; one without positives, or without negatives, has no ROC-AUC.
Such tags are left out of the means and named in the result. (torchmetrics counts them as 0, scikit-learn answers
NaN; all published test splits hold every tag, where the three agree.)
"""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

DESCRIPTION = "Macro ROC-AUC and average precision over tags; absent tags are left out and reported."


class Tagging(evaluate.Metric):
    """`compute(predictions=[scores per tag], references=[0/1 per tag])`.

    Returns:
        {"roc_auc", "average_precision": macro means (NaN when no tag can be scored), "absent_tags": indices of the
        tags left out of either mean}.
    """

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {
                "predictions": datasets.Sequence(datasets.Value("float32")),
                "references": datasets.Sequence(datasets.Value("int8")),
            }
        )
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", features=features)

    def _compute(self, predictions, references) -> dict[str, object]:
        predictions, references = np.asarray(predictions), np.asarray(references)
        areas, precisions, absent = [], [], []
        for tag in range(references.shape[1]):
            truth, scores = references[:, tag], predictions[:, tag]
            positives = int(truth.sum())
            if positives > 0:
                precisions.append(average_precision_score(truth, scores))
            if 0 < positives < len(truth):
                areas.append(roc_auc_score(truth, scores))
            else:
                absent.append(tag)
        return {
            "roc_auc": float(np.mean(areas)) if areas else float("nan"),
            "average_precision": float(np.mean(precisions)) if precisions else float("nan"),
            "absent_tags": absent,
        }
