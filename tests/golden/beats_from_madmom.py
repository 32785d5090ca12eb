"""Writes beats.json: what madmom's beat decoder answers to seeded activations.

madmom 0.16.1 needs an environment of its own, outside this project:

    pip install cython numpy scipy mido 'setuptools<81' && pip install --no-build-isolation madmom==0.16.1
    python tests/golden/beats_from_madmom.py tests/golden/beats.json
"""

import collections
import collections.abc
import json
import sys

import numpy as np
import scipy.fftpack  # noqa: F401  scipy and numpy.ma must be imported before numpy's old names come back

# (beats per minute, noise, share of missing beats, tempo drift per beat, seconds, frame rate in Hz)
CASES = {
    "steady": (120, 0.02, 0.0, 0.0, 15, 50),
    "slow": (58, 0.05, 0.0, 0.0, 15, 50),
    "fast": (205, 0.05, 0.0, 0.0, 12, 50),
    "missing": (96, 0.1, 0.4, 0.0, 20, 50),
    "drifting": (100, 0.1, 0.05, 0.02, 25, 50),
    "noise": (100, 0.6, 1.0, 0.0, 10, 50),
    "weak": (140, 0.3, 0.1, 0.005, 15, 75),
    "short": (110, 0.05, 0.0, 0.0, 0.7, 50),
}


def activation(seed, bpm, noise, missing, drift, seconds, frame_rate_hz):
    """Thousandths, 1 to 999: exact in JSON, and no zero probability."""
    rng = np.random.default_rng(seed)
    frames = int(seconds * frame_rate_hz)
    values = rng.uniform(0.0, noise, frames)
    time, period = rng.uniform(0.0, 60.0 / bpm), 60.0 / bpm
    while time < seconds:
        if rng.random() >= missing:
            for offset, height in ((-1, 0.4), (0, 0.95), (1, 0.4)):
                frame = round(time * frame_rate_hz) + offset
                if 0 <= frame < frames:
                    values[frame] = max(values[frame], height * rng.uniform(0.8, 1.0))
        period *= np.exp(rng.normal(0.0, drift))
        time += period
    return np.clip(np.rint(1000 * values), 1, 999).astype(int)


def main():
    collections.MutableSequence = collections.abc.MutableSequence
    np.float, np.int, np.object = float, int, object
    from madmom.features.beats import DBNBeatTrackingProcessor

    golden = {"madmom": "0.16.1", "numpy": np.__version__, "cases": {}}
    for seed, (name, case) in enumerate(CASES.items()):
        thousandths = activation(seed, *case)
        beats = DBNBeatTrackingProcessor(fps=case[-1])(thousandths / 1000.0)
        golden["cases"][name] = {
            "frame_rate_hz": case[-1],
            "activation_thousandths": thousandths.tolist(),
            "beat_times": [round(float(time), 6) for time in beats],
        }
    with open(sys.argv[1], "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
