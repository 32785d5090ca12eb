"""The beat decoder gives madmom's beats, and the best path of all paths."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from musicssl.probing.kinds.bar_pointer import BarPointerModel

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "beats.json").read_text())["cases"]


def decode_beats(activation, frame_rate_hz):
    return BarPointerModel(frame_rate_hz).decode([activation])[0]


def golden_activation(case):
    return np.array(case["activation_thousandths"]) / 1000.0


@pytest.mark.parity
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_parity_with_madmom(name):
    case = GOLDEN[name]
    beats = decode_beats(golden_activation(case), case["frame_rate_hz"])
    assert len(beats) == len(case["beat_times"]) > 0
    print(f"{name}: worst difference {np.abs(beats - case['beat_times']).max():.1e} s over {len(beats)} beats")
    np.testing.assert_allclose(beats, case["beat_times"], atol=1e-6)


def test_decoding_together_equals_decoding_alone():
    cases = [case for case in GOLDEN.values() if case["frame_rate_hz"] == 50]
    activations = [golden_activation(case) for case in cases]
    for together, alone in zip(BarPointerModel(50).decode(activations), activations, strict=True):
        np.testing.assert_array_equal(together, decode_beats(alone, 50))


def log_probability(model, activation, path):
    """Of one state path, straight from the definition of the model: (length index, position) per frame."""
    total = -np.log(model.lengths.sum())
    for frame, (interval, position) in enumerate(path):
        near = position / model.lengths[interval] < 1 / model.observation_lambda
        p = activation[frame]
        total += np.log(p if near else (1 - p) / (model.observation_lambda - 1))
        if position == 0:
            before = path[frame - 1][0] if frame else None
            if frame:
                total += model.log_transition[before, interval]
            else:
                total += model.log_transition[:, interval].max()
    return total


def all_paths(model, frames):
    for first in product(range(len(model.lengths)), range(model.lengths.max())):
        if first[1] < model.lengths[first[0]]:
            yield from extend(model, [first], frames)


def extend(model, path, frames):
    if len(path) == frames:
        yield path
        return
    interval, position = path[-1]
    if position + 1 < model.lengths[interval]:
        yield from extend(model, [*path, (interval, position + 1)], frames)
        return
    for successor in range(len(model.lengths)):
        yield from extend(model, [*path, (successor, 0)], frames)


@pytest.mark.parametrize("seed", range(6))
def test_the_path_is_the_best_of_all_paths(seed):
    """Beats of two to four frames, nine frames: few enough paths to try them all."""
    model = BarPointerModel(4, min_bpm=60, max_bpm=120, transition_lambda=2.0, observation_lambda=4)
    assert model.lengths.tolist() == [2, 3, 4]
    activation = np.random.default_rng(seed).uniform(0.05, 0.95, 9)
    best = max(all_paths(model, len(activation)), key=lambda path: log_probability(model, activation, path))
    expected = [bool(model.near_beat[state]) for state in best]
    assert model._best_paths([activation])[0].tolist() == expected


def test_edges():
    assert len(decode_beats(np.zeros(100), 50)) == 0
    assert len(BarPointerModel(50).decode([])) == 0
    assert np.isfinite(decode_beats(np.ones(200), 50)).all()
    saturated = np.zeros(500)
    saturated[25::25] = 1.0
    np.testing.assert_allclose(np.diff(decode_beats(saturated, 50)), 0.5)
    with pytest.raises(ValueError, match="beat length"):
        BarPointerModel(0.5)
