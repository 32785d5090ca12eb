"""The questions that every kind of task answers: how to read a label, train on it, score it and draw the result.

Shapes: n examples of a split (windows, tracks or frames), T frames of a clip, H heads, K seeds, b examples of a
batch, C outputs, R bootstrap resamples.
"""

import ast
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from musicssl.probing.kinds.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# MARBLE's constrained track (arXiv:2306.10548, appendix A).
LEARNING_RATES = (5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2)


@dataclass(frozen=True)
class FrameClip:
    """A clip whose frames are examples.

    Attributes:
        label: its encoded label, with times in seconds from the start of the file.
        start_seconds: where the clip starts in its file.
        num_frames: T.
    """

    clip_id: str
    label: Any
    start_seconds: float
    num_frames: int
    frame_rate_hz: float


@dataclass(frozen=True)
class HeadOutputs:
    """The outputs of the chosen heads on the test split.

    Attributes:
        outputs: (K, n, C), one head per seed, on the CPU.
        targets: (n, ...).
        weights: (R, n) int64: how often each resample of the test tracks holds each example (frames: each clip).
        vocabulary: the names of the C classes, tags or dimensions.
        clips: of a kind of frames, the clips whose frames follow one another along n.
    """

    outputs: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    vocabulary: Sequence[str]
    clips: Sequence[FrameClip] = ()


class Kind(ABC):
    """A kind of task, as a `ClipKind` or a `FrameKind`.

    Attributes:
        name: what `--type` takes and `results.json` holds.
        column: what a column of such labels holds, for the help of `--type`.
        metrics: the test metrics; the first one is the primary metric of a custom task.
        empty: texts in a column of labels that mean "no label", in lower case.
        monitor_name: the validation score's name in tables; None: that of the task's primary metric.
        picture_name: the text alternative of `picture`.
        of_frames: whether each frame of a clip is an example, see `FrameKind`.
        learning_rates: the grid of the heads.
    """

    name: ClassVar[str]
    column: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    empty: ClassVar[frozenset[str]] = frozenset({""})
    monitor_name: ClassVar[str | None] = None
    picture_name: ClassVar[str] = ""
    of_frames: ClassVar[bool] = False
    learning_rates: ClassVar[tuple[float, ...]] = LEARNING_RATES

    # Labels of a custom task.

    def columns(self, label: str) -> list[str]:
        """The columns that `--label` names: one, unless a kind reads several as one label."""
        return [label]

    @abstractmethod
    def parse(self, values: Sequence[Any]) -> Any:
        """The label in a row's values of `columns`; ValueError when they are not one."""

    @abstractmethod
    def encode(self, columns: Sequence[str], labels: Sequence[Any]) -> tuple[tuple[str, ...], Sequence[Any]]:
        """The vocabulary of a collection, and its parsed labels as examples hold them.

        The vocabulary is the names of the classes, tags or dimensions, in the order of the outputs.
        """

    def label_notes(self, vocabulary: Sequence[str], labels: Mapping[str, Sequence[Any]]) -> list[str]:
        """Remarks on the encoded labels of each split for readers of the scores, one sentence each."""
        return []

    # Training.

    def num_outputs(self, vocabulary: Sequence[str]) -> int:
        """C of a head."""
        return len(vocabulary)

    def target_scale(self, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Shift and scale, (C,) each, that make the training targets (n, C) easy to learn; None: as they are."""
        return None

    @abstractmethod
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(H, b, C) and targets (H, b, ...) -> (H,): the sum over the batch of the mean over C."""

    @abstractmethod
    def monitor(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(H, n, C) and (n, ...) -> (H,): the validation score that chooses epoch, layer and learning rate."""

    # Test.

    @abstractmethod
    def evaluate(self, test: HeadOutputs) -> Evaluation:
        """Every metric of `metrics` on the test split, per seed and per bootstrap resample."""

    def picture(self, result: Mapping[str, Any]) -> "Figure | None":
        """A picture of a task's result (an entry of `results.json`), or None when there is nothing to draw."""
        return None


class ClipKind(Kind):
    """A kind of task whose examples are clips: a clip has one target."""

    @abstractmethod
    def target(self, label: Any, vocabulary: Sequence[str]) -> np.ndarray | int:
        """The target of a clip: () or (C,)."""


class FrameKind(Kind):
    """A kind of task whose examples are frames: heads train on random crops of whole clips and are tested on all."""

    of_frames = True

    @abstractmethod
    def target(self, clip: FrameClip, training: bool) -> np.ndarray:
        """(T, ...) targets of the frames of a clip, to train on or else to be scored by."""


# Helpers that several kinds share to read and describe labels.


def split_list(value: Any, separators: str) -> list[str]:
    """A list, the text of one ("[1, 2]"), or text split at `separators` (a regular expression) -> items as text."""
    if isinstance(value, str):
        if value.strip().startswith("["):
            value = ast.literal_eval(value.strip())
        else:
            value = re.split(separators, value.strip())
    return [str(item).strip() for item in value if str(item).strip()]


def in_natural_order(names: Collection[str]) -> tuple[str, ...]:
    """Distinct names, numbers by their value and before words."""

    def place(name: str) -> tuple:
        try:
            return (0, float(name), name)
        except ValueError:
            return (1, 0.0, name)

    return tuple(sorted(set(names), key=place))


def notes_on_missing_classes(vocabulary: Sequence[str], seen: Mapping[str, Counter]) -> list[str]:
    """Name the classes that a split lacks: they cannot be learned, or are not tested.

    Args:
        seen: split -> how many of its clips have each class, by index.
    """
    notes = []
    for index, name in enumerate(vocabulary):
        elsewhere = seen["validation"][index] + seen["test"][index]
        if not seen["train"][index] and elsewhere:
            notes.append(f"label {name!r} is missing from train: its {elsewhere} clips elsewhere count as wrong")
    untested = [name for index, name in enumerate(vocabulary) if not seen["test"][index]]
    if untested:
        shown = ", ".join(untested[:10]) + (" ..." if len(untested) > 10 else "")
        notes.append(f"{len(untested)} of {len(vocabulary)} labels have no test clip: {shown}")
    return notes
