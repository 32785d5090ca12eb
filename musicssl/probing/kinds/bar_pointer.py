"""Beat times from a beat activation: the bar-pointer hidden Markov model of Krebs, Böck & Widmer (ISMIR 2015).

A state is a position inside a beat of a given length in frames. The position moves on by one every frame; only at
the end of a beat may the length change. So all states but the first of each beat length have one predecessor, and a
Viterbi step is a shift of the scores plus one (lengths x lengths) maximum.

Shapes: A activations decoded together, T frames, I beat lengths, P positions of the longest beat.
"""

from collections.abc import Sequence

import numpy as np

# The published defaults (madmom's DBNBeatTrackingProcessor, which MARBLE calls with them).
MIN_BPM = 55.0
MAX_BPM = 215.0
TRANSITION_LAMBDA = 100.0
OBSERVATION_LAMBDA = 16
# A network's sigmoid saturates in float32; a zero probability would forbid every path through that frame.
SMALLEST = 1e-7


class BarPointerModel:
    """The state space at one frame rate, ready to decode.

    Args:
        frame_rate_hz: frames of the activation per second.
        min_bpm, max_bpm: slowest and fastest tempo, in beats per minute.
        transition_lambda: how strongly the tempo stays; larger is steadier.
        observation_lambda: the first 1 / observation_lambda of each beat is where the activation counts as a beat.

    Raises:
        ValueError: the frame rate is too low to distinguish tempi, or the tempo range is empty.
    """

    def __init__(
        self,
        frame_rate_hz: float,
        min_bpm: float = MIN_BPM,
        max_bpm: float = MAX_BPM,
        transition_lambda: float = TRANSITION_LAMBDA,
        observation_lambda: int = OBSERVATION_LAMBDA,
    ):
        shortest, longest = round(60.0 * frame_rate_hz / max_bpm), round(60.0 * frame_rate_hz / min_bpm)
        if shortest < 1 or longest < shortest:
            raise ValueError(f"no beat length between {min_bpm} and {max_bpm} beats per minute at {frame_rate_hz} Hz")
        self.frame_rate_hz = frame_rate_hz
        self.observation_lambda = observation_lambda
        self.lengths = np.arange(shortest, longest + 1)  # (I,) frames per beat
        positions = np.arange(longest)  # (P,)
        self.exists = positions < self.lengths[:, None]  # (I, P)
        self.near_beat = positions / self.lengths[:, None] < 1.0 / observation_lambda  # (I, P)
        ratio = self.lengths / self.lengths[:, None]
        probability = np.exp(-transition_lambda * np.abs(ratio - 1.0))
        probability[probability <= np.spacing(1)] = 0.0
        with np.errstate(divide="ignore"):
            self.log_transition = np.log(probability / probability.sum(axis=1, keepdims=True))  # (I from, I to)

    def decode(self, activations: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Beat times of each activation.

        Args:
            activations: A arrays (T,) of beat probabilities; their lengths may differ.

        Returns:
            A arrays of times in seconds, ascending: the frame with the highest activation of every beat region the
            best path passes through. An activation that is zero everywhere has no beats.
        """
        activations = [np.asarray(each, dtype=np.float64) for each in activations]
        if not activations:
            return []
        paths = self._best_paths(activations)
        return [self._peaks(each, near) for each, near in zip(activations, paths, strict=True)]

    def _best_paths(self, activations: list[np.ndarray]) -> list[np.ndarray]:
        """For each activation whether the best path is near a beat, (T,) bool."""
        frames = max(map(len, activations))
        padded = np.full((len(activations), frames), 0.5)
        for row, each in zip(padded, activations, strict=True):
            row[: len(each)] = each
        padded = np.clip(padded, SMALLEST, 1.0 - SMALLEST)
        log_beat, log_other = np.log(padded), np.log((1.0 - padded) / (self.observation_lambda - 1))
        scores = np.where(self.exists, -np.log(self.lengths.sum()), -np.inf)
        scores = np.broadcast_to(scores, (len(activations), *scores.shape)).copy()  # (A, I, P)
        origins = np.empty((frames, len(activations), len(self.lengths)), dtype=np.int16)
        final = [(0, 0)] * len(activations)
        interval = np.arange(len(self.lengths))
        for frame in range(frames):
            # Every frame is entered by a transition, the first one too: as the reference implementation does.
            ends = scores[:, interval, self.lengths - 1]  # (A, I)
            candidates = ends[:, :, None] + self.log_transition  # (A, I from, I to)
            origin = candidates.argmax(axis=1)
            scores[:, :, 1:] = scores[:, :, :-1].copy()
            scores[:, :, 0] = np.take_along_axis(candidates, origin[:, None], axis=1)[:, 0]
            scores += np.where(self.near_beat, log_beat[:, frame, None, None], log_other[:, frame, None, None])
            scores[:, ~self.exists] = -np.inf
            origins[frame] = origin
            for index, each in enumerate(activations):
                if frame == len(each) - 1:
                    final[index] = np.unravel_index(scores[index].argmax(), scores[index].shape)
        return [
            self._near_beat_frames(len(each), origins[:, index], *final[index])
            for index, each in enumerate(activations)
        ]

    def _near_beat_frames(self, frames: int, origins: np.ndarray, interval: int, position: int) -> np.ndarray:
        """Walk back from the last state, one beat at a time. origins: (T, I)."""
        near = np.zeros(frames, dtype=bool)
        end = frames
        while end > 0:
            start = end - 1 - position
            near[max(start, 0) : end] = self.near_beat[interval, max(-start, 0) : position + 1]
            if start > 0:
                interval = origins[start, interval]
                position = self.lengths[interval] - 1
            end = start
        return near

    def _peaks(self, activation: np.ndarray, near: np.ndarray) -> np.ndarray:
        if not activation.any():
            return np.empty(0)
        edges = np.flatnonzero(np.diff(near, prepend=False, append=False)).reshape(-1, 2)
        peaks = [left + activation[left:right].argmax() for left, right in edges]
        return np.asarray(peaks, dtype=np.float64) / self.frame_rate_hz
