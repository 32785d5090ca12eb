"""One class per clip, of any number."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from musicssl.probing.kinds.base import ClipKind, HeadOutputs, in_natural_order, notes_on_missing_classes
from musicssl.probing.kinds.evaluation import Evaluation
from musicssl.probing.metrics import batched
from musicssl.probing.metrics.accuracy import Accuracy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Multiclass(ClipKind):
    """A label is the index of its class."""

    name = "multiclass"
    column = "any value, one class each"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
    picture_name = "confusion matrix"

    def parse(self, values: Sequence[Any]) -> Any:
        """The value as text."""
        return str(values[0]).strip()

    def encode(self, columns: Sequence[str], labels: Sequence[Any]) -> tuple[tuple[str, ...], Sequence[Any]]:
        """The classes that occur, and indices of them."""
        vocabulary = in_natural_order(labels)
        places = {name: index for index, name in enumerate(vocabulary)}
        return vocabulary, [places[label] for label in labels]

    def label_notes(self, vocabulary: Sequence[str], labels: Mapping[str, Sequence[Any]]) -> list[str]:
        """The classes that a split lacks."""
        return notes_on_missing_classes(vocabulary, {split: Counter(own) for split, own in labels.items()})

    def target(self, label: Any, vocabulary: Sequence[str]) -> np.ndarray | int:
        """The class's index."""
        return label

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy."""
        flat = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
        return flat.view(targets.shape).sum(dim=1)

    def monitor(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Accuracy, as MARBLE v1."""
        return batched.accuracy(outputs, targets, batched.all_once(outputs))[0]

    def evaluate(self, test: HeadOutputs) -> Evaluation:
        """Accuracy and the confusion counts of all seeds."""
        predicted = test.outputs.argmax(dim=-1)
        seeds = [Accuracy().compute(predictions=each, references=test.targets)["accuracy"] for each in predicted]
        confusion = np.zeros((len(test.vocabulary), len(test.vocabulary)), dtype=int)
        for each in predicted:
            np.add.at(confusion, (test.targets.numpy(), each.numpy()), 1)
        resampled = {"accuracy": batched.accuracy(test.outputs, test.targets, test.weights).numpy()}
        details = {"confusion": confusion.tolist(), "labels": list(test.vocabulary)}
        return Evaluation({"accuracy": seeds}, resampled, details)

    def picture(self, result: Mapping[str, Any]) -> "Figure | None":
        """Labelled (rows) against predicted (columns), each row as shares of its clips."""
        from matplotlib.figure import Figure

        counts = np.array(result["details"]["confusion"], dtype=float)
        labels = result["details"]["labels"]
        shown = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))  # classes that occur in test or were predicted
        counts, labels = counts[np.ix_(shown, shown)], [labels[i] for i in shown]
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        size = max(3.2, min(9.0, 1.8 + 0.3 * len(labels)))
        figure = Figure(figsize=(size + 0.8, size), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(100 * shares, cmap="magma_r", vmin=0, vmax=100)
        if len(labels) <= 12:
            for row, column in np.argwhere(shares >= 0.005):
                text, colour = f"{100 * shares[row, column]:.0f}", "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        step = max(1, len(labels) // 40)
        axes.set_xticks(range(0, len(labels), step), labels[::step], rotation=90, fontsize=7)
        axes.set_yticks(range(0, len(labels), step), labels[::step], fontsize=7)
        axes.set_xlabel("predicted")
        axes.set_ylabel("labelled")
        axes.set_title(f"{result['title']}: % of each label's test clips", fontsize=10)
        figure.colorbar(image, ax=axes, fraction=0.045, label="%")
        return figure
