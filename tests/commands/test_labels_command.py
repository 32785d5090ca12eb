"""`musicssl labels`: pictures over the audio, and what labels tell of given classes."""

import json

import numpy as np
import pytest
import soundfile

from musicssl.commands.main import main

PITCHES = {"C": 261.63, "E": 329.63, "A": 440.0}


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Three pitch classes in two octaves and two timbres, for train, validation and test."""
    folder = tmp_path_factory.mktemp("notes")
    rows = ["file_name,split,pitch_class,timbre"]
    generator = np.random.default_rng(0)
    time = np.arange(9600) / 16000
    for split in ("train", "validation", "test"):
        for name, hz in PITCHES.items():
            for timbre, partials in (("dull", 1), ("bright", 8)):
                for octave in (1, 2):
                    wave = sum(np.sin(2 * np.pi * hz * octave * n * time) / n for n in range(1, partials + 1))
                    wave = wave * generator.uniform(0.1, 0.3) + 0.001 * generator.normal(size=len(time))
                    path = f"{split}-{name}-{timbre}-{octave}.wav"
                    soundfile.write(folder / path, wave, 16000)
                    rows.append(f"{path},{split},{name},{timbre}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_compare_finds_pitch_in_chroma_and_timbre_in_mfcc(notes, tmp_path, capsys):
    flags = ["--label", "pitch_class", "timbre", "--features", "mfcc39", "chroma24", "--num_clusters", "3"]
    assert main(["labels", "compare", str(notes), *flags, "--output_dir", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "label_agreement.json").read_text())
    told = {(row["codebook"], row["truth"]): row["normalised_mutual_information"] for row in rows}
    assert told["1-chroma24", "pitch_class"] > 0.9
    assert told["1-chroma24", "pitch_class"] > told["0-mfcc39", "pitch_class"]
    assert told["0-mfcc39", "timbre"] > told["1-chroma24", "timbre"]
    assert "24 held-out clips" in capsys.readouterr().out
    assert (tmp_path / "label_agreement.png").stat().st_size > 5000

    # The codebooks it fitted can be drawn over a file.
    picture = tmp_path / "note.png"
    note = str(notes / "test-C-bright-1.wav")
    codebook = ["--codebook", str(tmp_path / "codebook"), "--features", "chroma24", "cqt84"]
    assert main(["labels", "plot", note, *codebook, "--output", str(picture)]) == 0
    assert picture.stat().st_size > 5000
    assert (tmp_path / "note-codebooks.png").stat().st_size > 5000


def test_errors_are_one_line(notes, tmp_path, capsys):
    assert main(["labels", "plot", str(tmp_path / "gone.wav")]) == 2
    assert main(["labels", "plot", str(notes / "test-C-bright-1.wav"), "--features", "mfcc13"]) == 2
    assert main(["labels", "compare", str(notes), "--label", "colour", "--output_dir", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("error: ") for line in lines)
