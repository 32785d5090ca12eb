"""Beat times of each clip: a head gives the beat probability of every frame, a decoder the beats."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from musicssl.probing.kinds.bar_pointer import BarPointerModel
from musicssl.probing.kinds.base import FrameClip, FrameKind, HeadOutputs, split_list
from musicssl.probing.kinds.evaluation import Evaluation
from musicssl.probing.metrics import batched
from musicssl.probing.metrics.beat_f import BeatF, f_measure, match_counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE_SECONDS, NARROW_SECONDS = 0.07, 0.02  # tolerances of the F-measure, see `musicssl.probing.metrics.beat_f`


class Beat(FrameKind):
    """A label is the ascending beat times in seconds from the start of the file."""

    name = "beat"
    column = "beat times in seconds, a list or text with blanks between them"
    metrics = ("beat_f1_70ms_micro", "beat_f1_70ms", "beat_f1_20ms_micro")
    monitor_name = "AP of frames"
    picture_name = "beats"
    # MARBLE v1's rate for this task. A frame-level grid costs hundreds of clip-level ones; --learning_rates allows it.
    learning_rates = (1e-3,)

    def parse(self, values: Sequence[Any]) -> Any:
        """The times."""
        return tuple(sorted(float(time) for time in split_list(values[0], r"[\s,;]+")))

    def encode(self, columns: Sequence[str], labels: Sequence[Any]) -> tuple[tuple[str, ...], Sequence[Any]]:
        """No vocabulary: there are no classes."""
        return (), labels

    def num_outputs(self, vocabulary: Sequence[str]) -> int:
        """The beat activation."""
        return 1

    def target(self, clip: FrameClip, training: bool) -> np.ndarray:
        """(T, 1): 1 at a beat and, in training, one frame to either side (MARBLE v1)."""
        reach = 1 if training else 0
        target = np.zeros((clip.num_frames, 1), dtype=np.float32)
        beats = np.round((np.array(clip.label) - clip.start_seconds) * clip.frame_rate_hz).astype(int)
        for offset in range(-reach, reach + 1):
            near = beats + offset
            target[near[(near >= 0) & (near < clip.num_frames)]] = 1
        return target

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy of each frame."""
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(dim=2).sum(dim=1)

    def monitor(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Average precision of the frames: decoding every head after every epoch would cost more than all the rest."""
        return batched.average_precision(outputs, targets, batched.all_once(outputs))[0].nanmean(dim=-1)

    def evaluate(self, test: HeadOutputs) -> Evaluation:
        """F-measures of the decoded beats, and the first clip as an example."""
        lengths = [clip.num_frames for clip in test.clips]
        activations = [[each.numpy() for each in torch.sigmoid(seed[:, 0]).split(lengths)] for seed in test.outputs]
        first = test.clips[0]
        decoder = BarPointerModel(first.frame_rate_hz)
        decoded = [decoder.decode(seed) for seed in activations]
        labelled = [np.array(clip.label) - clip.start_seconds for clip in test.clips]
        evaluation = evaluate_beats(labelled, decoded, test.weights.numpy())
        evaluation.details = {
            "beat_example": {
                "clip": first.clip_id,
                "frame_rate_hz": first.frame_rate_hz,
                "activation": np.round(activations[0][0], 4).tolist(),
                "labelled": labelled[0].tolist(),
                "decoded": decoded[0][0].tolist(),
            }
        }
        return evaluation

    def picture(self, result: Mapping[str, Any]) -> "Figure | None":
        """The beat activation of the first test clip, its labelled beats and the decoded ones."""
        from matplotlib.figure import Figure

        example = result["details"]["beat_example"]
        activation = np.array(example["activation"])
        times = np.arange(len(activation)) / example["frame_rate_hz"]
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(times, activation, color="0.35", linewidth=0.9, label="activation")
        top = max(activation.max(), 1e-3)
        axes.vlines(example["labelled"], 0, 0.48 * top, color="C2", linewidth=1.6, label="labelled")
        axes.vlines(example["decoded"], 0.52 * top, top, color="C3", linewidth=1.6, label="decoded")
        axes.set_xlim(0, times[-1])
        axes.set_xlabel("seconds")
        axes.set_ylabel("beat probability")
        axes.set_title(f"{result['title']}: {example['clip']}", fontsize=10, loc="left")
        axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
        return figure


def evaluate_beats(
    labelled: Sequence[np.ndarray], decoded: Sequence[Sequence[np.ndarray]], weights: np.ndarray
) -> Evaluation:
    """Score beat times in seconds.

    Args:
        labelled: one array per track. decoded: for each seed, one array per track.
        weights: (R, tracks) how often each resample holds each track.
    """
    references = [times.tolist() for times in labelled]
    results = [
        BeatF().compute(predictions=[times.tolist() for times in seed], references=references) for seed in decoded
    ]
    wide, narrow = (
        np.array([[match_counts(*track, tolerance) for track in zip(labelled, seed, strict=True)] for seed in decoded])
        for tolerance in (WIDE_SECONDS, NARROW_SECONDS)
    )  # (K, tracks, 3)
    resampled = {
        "beat_f1_70ms_micro": f_measure(np.einsum("rt,ktc->rkc", weights, wide)),
        "beat_f1_70ms": weights @ f_measure(wide).T / len(labelled),
        "beat_f1_20ms_micro": f_measure(np.einsum("rt,ktc->rkc", weights, narrow)),
    }
    return Evaluation({name: [result[name] for result in results] for name in resampled}, resampled)
