"""A small encoder and a labelled collection for all probing tests."""

import numpy as np
import pytest
import soundfile
from probing_makers import note, save_tiny_encoder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """Directory of a tiny stock encoder with random weights."""
    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def labelled_notes(tmp_path_factory):
    """An audiofolder of 36 notes at three rates and two lengths, with a class, tags, a number, a key and beats."""
    root = tmp_path_factory.mktemp("notes")
    number = 0
    for split, clips in (("train", 18), ("validation", 9), ("test", 9)):
        (root / split).mkdir()
        rows = ["file_name,register,tags,height,key,beats"]
        for _ in range(clips):
            pitch = (40, 60, 80)[number % 3] + number % 5
            rate = (16000, 22050, 44100)[number % 3]
            wave = note(pitch, (0.5, 0.8)[number % 2], number, rate)
            stereo = np.stack([wave, 0.5 * wave], axis=1) if number % 4 == 0 else wave
            soundfile.write(root / split / f"{number:02d}.wav", stereo, rate)
            register = ("low", "mid", "high")[number % 3]
            tags = f"{register}{';long' if number % 2 else ''}"
            rows.append(f"{number:02d}.wav,{register},{tags},{pitch / 10},{'CDEFGAB'[number % 7]} minor,0.1 0.3")
            number += 1
        (root / split / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root
