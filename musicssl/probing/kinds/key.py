"""One of the 24 keys per clip."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musicssl.keys import KEYS, parse_key
from musicssl.probing.kinds.base import HeadOutputs
from musicssl.probing.kinds.evaluation import Evaluation
from musicssl.probing.kinds.multiclass import Multiclass
from musicssl.probing.metrics import batched
from musicssl.probing.metrics.key_score import KeyScore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIFTHS = [(7 * step) % 12 for step in range(12)]  # semitones above the labelled tonic, around the circle
_RELATIONS = ({0: "correct", 7: "fifth\nabove", 5: "fifth\nbelow"}, {0: "parallel", 9: "relative"})


class Key(Multiclass):
    """A label is an index of `musicssl.keys.KEYS`."""

    name = "key"
    column = 'a key such as "F# minor"'
    metrics = ("key_score", "accuracy")
    empty = frozenset({"", "unknown", "none", "-"})
    picture_name = "key errors"

    def parse(self, values: Sequence[Any]) -> Any:
        """The key's index."""
        return parse_key(str(values[0]))

    def encode(self, columns: Sequence[str], labels: Sequence[Any]) -> tuple[tuple[str, ...], Sequence[Any]]:
        """All 24 keys, whether they occur or not."""
        return KEYS, labels

    def label_notes(self, vocabulary: Sequence[str], labels: Mapping[str, Sequence[Any]]) -> list[str]:
        """None: few collections hold every key."""
        return []

    def monitor(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The weighted key score, as MARBLE v1."""
        return batched.key_score(outputs, targets, batched.all_once(outputs))[0]

    def evaluate(self, test: HeadOutputs) -> Evaluation:
        """The weighted key score, and what `Multiclass` gives."""
        classes = super().evaluate(test)
        predicted = test.outputs.argmax(dim=-1)
        seeds = [KeyScore().compute(predictions=each, references=test.targets)["key_score"] for each in predicted]
        resampled = {"key_score": batched.key_score(test.outputs, test.targets, test.weights).numpy()}
        return Evaluation({"key_score": seeds, **classes.seeds}, {**resampled, **classes.resampled}, classes.details)

    def picture(self, result: Mapping[str, Any]) -> "Figure | None":
        """The distance from the labelled to the estimated key on the circle of fifths.

        Outer ring: the same mode; inner ring: the other mode. The top of the outer ring is a correct key.
        """
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        shares = key_error_shares(np.array(result["details"]["confusion"], dtype=float))
        figure = Figure(figsize=(5.4, 5), layout="constrained")
        axes = figure.add_subplot(projection="polar", theta_offset=np.pi / 2, theta_direction=-1)
        angles = np.arange(12) * 2 * np.pi / 12
        colours = colormaps["magma_r"](shares)
        for ring, bottom in ((0, 1.0), (1, 0.4)):
            axes.bar(angles, 0.58, width=2 * np.pi / 12 * 0.97, bottom=bottom, color=colours[ring])
            for angle, semitones, share in zip(angles, _FIFTHS, shares[ring], strict=True):
                text = f"{_RELATIONS[ring].get(semitones, f'+{semitones}')}\n{100 * share:.0f} %"
                colour = "white" if share > 0.45 else "black"
                axes.text(angle, bottom + 0.29, text, ha="center", va="center", fontsize=7, color=colour)
        axes.set_axis_off()
        axes.set_title(
            f"{result['title']}: estimated key from the labelled one\n"
            "outer ring: same mode, inner ring: other mode\n"
            "clockwise in fifths; +n: semitones between the tonics",
            fontsize=9,
        )
        return figure


def key_error_shares(confusion: np.ndarray) -> np.ndarray:
    """(24, 24) counts, labelled x estimated -> (2, 12) shares: same and other mode, around the circle of fifths."""
    shares = np.zeros((2, 12))
    for labelled in range(len(KEYS)):
        for estimated in range(len(KEYS)):
            interval = (estimated - labelled) % 12
            other_mode = int(labelled // 12 != estimated // 12)
            if other_mode and labelled >= 12:
                # A major key's relative lies 9 semitones up, a minor key's 3: mirrored, both have the same place.
                interval = -interval % 12
            shares[other_mode, _FIFTHS.index(interval)] += confusion[labelled, estimated]
    return shares / max(shares.sum(), 1)
