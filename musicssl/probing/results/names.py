"""Names of metrics and layers in tables and pictures."""

from musicssl.probing.heads.heads import MIXED
from musicssl.probing.kinds import get_kind

SHORT = {
    "accuracy": "acc",
    "roc_auc": "ROC-AUC",
    "average_precision": "AP",
    "r2": "R²",
    "key_score": "key",
    "beat_f1_70ms_micro": "F₇₀ micro",
    "beat_f1_70ms": "F₇₀ mean",
    "beat_f1_20ms_micro": "F₂₀ micro",
}


def short(metric: str) -> str:
    """A metric's name for a narrow column: r2_arousal -> R² arousal."""
    if metric.startswith("r2_"):
        return f"R² {metric[3:]}"
    return SHORT.get(metric, metric)


def validation_metric(task: dict) -> str:
    """What the layers of a task (an entry of `results.json`) were chosen by."""
    return get_kind(task["kind"]).monitor_name or short(task["primary_metric"])


def layer_name(layer: str) -> str:
    """A layer's name in tables and pictures."""
    return "weighted sum" if layer == MIXED else f"layer {layer}"
