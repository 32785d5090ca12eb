"""The demo music is music: in its key, on its beat, tellable apart, and the same bytes for the same seed."""

import csv
import hashlib

import numpy as np
import pytest
import soundfile as sf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from musicssl.commands.main import main
from musicssl.demo.collection import CollectionSettings, write_notes, write_pretrain
from musicssl.demo.composition import compose
from musicssl.demo.render import SAMPLING_RATE, render
from musicssl.demo.sounds import TIMBRES, midi_to_hz, play
from musicssl.demo.styles import STYLES
from musicssl.keys import KEYS


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def spectrum(waveform, size=2048):
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[:: size // 2]
    return np.abs(np.fft.rfft(frames * np.hanning(size)))


@pytest.mark.parametrize("timbre", sorted(TIMBRES))
def test_a_note_sounds_at_its_pitch(timbre):
    sound = play(TIMBRES[timbre], 69, 0.8, 0.8, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 16)) ** 2
    hz = np.fft.rfftfreq(1 << 16, 1 / SAMPLING_RATE)
    near = np.zeros(len(hz), dtype=bool)
    for harmonic in range(1, 18):
        near |= np.abs(hz - harmonic * midi_to_hz(69)) < 10 + 0.025 * harmonic * midi_to_hz(69)
    assert power[near].sum() > 0.9 * power.sum()
    assert np.abs(sound).max() <= 2.5


def test_no_energy_folds_back_from_above_the_nyquist_frequency():
    """A high note must hold only its harmonics below 8 kHz: a naive wavetable would alias."""
    sound = play(TIMBRES["reed"], 96, 0.8, 0.8, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 16)) ** 2
    hz = np.fft.rfftfreq(1 << 16, 1 / SAMPLING_RATE)
    below_the_fundamental = (hz > 50) & (hz < 0.9 * midi_to_hz(96))
    assert power[below_the_fundamental].sum() < 1e-4 * power.sum()


@pytest.mark.parametrize("style", sorted(STYLES))
def test_pieces_stay_in_their_key(style):
    rng = np.random.default_rng(1)
    for key in KEYS[::5]:
        piece = compose(rng, 12.0, style=style, key=key)
        assert piece.key == key
        classes = np.bincount([(note.midi - piece.tonic) % 12 for note in piece.notes], minlength=12)
        scale = [0, 2, 4, 5, 7, 9, 11] if piece.mode == "major" else [0, 2, 3, 5, 7, 8, 10, 11]
        assert classes[scale].sum() == classes.sum()
        # The third tells major from minor.
        assert (classes[4] > classes[3]) == (piece.mode == "major")


def test_beats_have_the_tempo_and_strokes_fall_on_them():
    rng = np.random.default_rng(2)
    for style in ("disco", "rock", "metal"):
        piece = compose(rng, 15.0, style=style)
        periods = np.diff(piece.beat_times)
        assert abs(60.0 / periods.mean() - piece.tempo_bpm) < 0.04 * piece.tempo_bpm
        assert set(piece.downbeat_times) <= set(piece.beat_times)
        assert np.allclose(np.diff(piece.downbeat_times), 4 * periods.mean(), rtol=0.1)
        snares = [stroke.onset_seconds for stroke in piece.strokes if stroke.drum == "snare"]
        snares = [time for time in snares if time < piece.beat_times[-1]] or piece.beat_times[:1]
        gaps = np.abs(np.subtract.outer(snares, piece.beat_times)).min(axis=1)
        assert gaps.max() < 0.03


def test_a_rendered_piece_is_within_range_and_as_long_as_asked():
    rng = np.random.default_rng(3)
    waveform = render(compose(rng, 3.3), rng)
    assert waveform.dtype == np.float32 and len(waveform) == round(3.3 * SAMPLING_RATE)
    assert 0.05 < np.abs(waveform).max() <= 1.0


def test_instruments_can_be_told_apart_but_not_trivially(tmp_path):
    write_notes(tmp_path, CollectionSettings())
    features, labels = {}, {}
    for split in ("train", "test"):
        with (tmp_path / split / "metadata.csv").open() as file:
            rows = list(csv.DictReader(file))
        labels[split] = [row["instrument"] for row in rows]
        frames = [np.log(spectrum(sf.read(tmp_path / split / row["file_name"])[0]) + 1e-4) for row in rows]
        bands = [np.add.reduceat(each, np.unique(np.geomspace(1, 1000, 24).astype(int)), axis=1) for each in frames]
        features[split] = [np.concatenate([each.mean(axis=0), each.std(axis=0)]) for each in bands]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    accuracy = model.fit(features["train"], labels["train"]).score(features["test"], labels["test"])
    assert 0.35 < accuracy < 0.99


def test_the_command_writes_the_same_bytes_for_the_same_seed_and_never_mixes_two(tmp_path, capsys):
    flags = ["--clips", "2", "--clip_seconds", "2", "--notes", "9", "--pieces", "6"]
    small = CollectionSettings(clips=2, clip_seconds=2.0, notes=9, pieces=6)
    assert main(["demo", "--output_dir", str(tmp_path / "a"), *flags]) == 0
    first = digests(tmp_path / "a")
    assert len(list((tmp_path / "a/pretrain").glob("*.flac"))) == small.clips
    for part, train in (("notes", small.notes), ("pieces", small.pieces)):
        for split, count in (("train", train), ("validation", train // 3), ("test", train // 3)):
            folder = tmp_path / "a/probe" / part / split
            with (folder / "metadata.csv").open() as file:
                assert [row["file_name"] for row in csv.DictReader(file)] == sorted(
                    p.name for p in folder.glob("*.flac")
                )
            assert len(list(folder.glob("*.flac"))) == count

    # A killed run leaves only a folder aside: the next one finishes the job, with the same bytes.
    (tmp_path / "b/.pretrain.partial").mkdir(parents=True)
    assert main(["demo", "--output_dir", str(tmp_path / "b"), *flags]) == 0
    assert digests(tmp_path / "b") == first
    assert main(["demo", "--output_dir", str(tmp_path / "b"), *flags]) == 0
    assert digests(tmp_path / "b") == first

    capsys.readouterr()
    assert main(["demo", "--output_dir", str(tmp_path / "b"), *flags, "--seed", "1"]) == 2
    assert "pretrain" in capsys.readouterr().err
    assert digests(tmp_path / "b") == first


@pytest.mark.parametrize("flags", [["--clips", "0"], ["--clip_seconds", "nan"], ["--seed", "-1"]])
def test_bad_flags_are_named_before_anything_is_written(tmp_path, capsys, flags):
    assert main(["demo", "--output_dir", str(tmp_path / "x"), *flags]) == 2
    assert flags[0] in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_clip_does_not_change_when_more_are_asked_for(tmp_path):
    write_pretrain(tmp_path / "few", CollectionSettings(clips=1, clip_seconds=2.0))
    write_pretrain(tmp_path / "more", CollectionSettings(clips=2, clip_seconds=2.0))
    assert digests(tmp_path / "few").items() <= digests(tmp_path / "more").items()
    assert len(set(digests(tmp_path / "more").values())) == 2
