"""Any number of tags per clip."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from musicssl.probing.kinds.base import ClipKind, HeadOutputs, in_natural_order, notes_on_missing_classes, split_list
from musicssl.probing.kinds.evaluation import Evaluation, finite
from musicssl.probing.metrics import batched
from musicssl.probing.metrics.tagging import Tagging


class Multilabel(ClipKind):
    """A label is the ascending indices of a clip's tags."""

    name = "multilabel"
    column = "a list of tags, or text with `,`, `;` or `|` between them"
    metrics = ("roc_auc", "average_precision")

    def parse(self, values: Sequence[Any]) -> Any:
        """The tags as text."""
        return tuple(split_list(values[0], r"[,;|]"))

    def encode(self, columns: Sequence[str], labels: Sequence[Any]) -> tuple[tuple[str, ...], Sequence[Any]]:
        """The tags that occur, and indices of them."""
        vocabulary = in_natural_order({tag for tags in labels for tag in tags})
        places = {name: index for index, name in enumerate(vocabulary)}
        return vocabulary, [tuple(sorted(places[tag] for tag in tags)) for tags in labels]

    def label_notes(self, vocabulary: Sequence[str], labels: Mapping[str, Sequence[Any]]) -> list[str]:
        """The tags that a split lacks."""
        seen = {split: Counter(tag for tags in own for tag in tags) for split, own in labels.items()}
        return notes_on_missing_classes(vocabulary, seen)

    def target(self, label: Any, vocabulary: Sequence[str]) -> np.ndarray | int:
        """1 at each tag of the clip, else 0."""
        hot = np.zeros(len(vocabulary), dtype=np.float32)
        hot[list(label)] = 1
        return hot

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy of each tag."""
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(dim=2).sum(dim=1)

    def monitor(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Macro ROC-AUC, as MARBLE v1."""
        return batched.roc_auc(outputs, targets, batched.all_once(outputs))[0].nanmean(dim=-1)

    def evaluate(self, test: HeadOutputs) -> Evaluation:
        """Macro ROC-AUC and average precision; tags without test clips are named, not scored."""
        outputs, targets, weights = test.outputs, test.targets, test.weights
        results = [Tagging().compute(predictions=each, references=targets.to(torch.int8)) for each in outputs]
        seeds = {name: [result[name] for result in results] for name in self.metrics}
        resampled = {
            "roc_auc": batched.roc_auc(outputs, targets, weights).nanmean(dim=-1).numpy(),
            "average_precision": batched.average_precision(outputs, targets, weights).nanmean(dim=-1).numpy(),
        }
        absent = [test.vocabulary[tag] for tag in results[0]["absent_tags"]]
        per_tag = batched.roc_auc(outputs, targets, batched.all_once(outputs))[0].mean(dim=0)
        details = {
            "absent_tags": absent,
            "roc_auc_per_tag": dict(zip(test.vocabulary, map(finite, per_tag.tolist()), strict=True)),
        }
        notes = [f"tags without test clips, left out of the means: {', '.join(absent)}"] if absent else []
        return Evaluation(seeds, resampled, details, notes)
