"""Features in windows: the whole file's wherever the model can know it, at constant memory, resumable."""

import re

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel

import musicssl
from musicssl.audio.decode import AudioFile, BadAudio
from musicssl.commands.main import main
from musicssl.errors import UserError
from musicssl.features.extract import ExtractSettings, extract_to_file, open_encoder
from musicssl.features.windows import WindowedEncoder, plan_windows
from musicssl.model_files import save_for_hub

FAMILIES = ["music2vec", "musichubert"]
RATE = 16_000


@pytest.fixture(scope="module")
def encoders(tiny_models) -> dict:
    return {family: open_encoder(model) for family, model in tiny_models.items()}


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """Twelve seconds that change all along: quiet to loud, off centre, a rising tone and noise."""
    time = np.arange(12 * RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    wave = (0.01 + time / 20) * (np.sin(2 * np.pi * (200 + 60 * time) * time) + 0.2 * noise) * 0.4 + 0.05
    path = tmp_path_factory.mktemp("audio") / "song.wav"
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    return path


@settings(max_examples=200, deadline=None)
@given(num_frames=st.integers(1, 5000), window=st.integers(1, 400), context=st.integers(0, 150))
def test_kept_frames_tile_the_file_and_have_their_context(num_frames, window, context):
    if window <= 2 * context:
        with pytest.raises(UserError, match="window_seconds"):
            plan_windows(num_frames, window, context)
        return
    windows = plan_windows(num_frames, window, context)
    assert [w.keep_first for w in windows] == [0, *(w.keep_end for w in windows[:-1])]
    assert windows[-1].keep_end == num_frames and all(w.keep_first < w.keep_end for w in windows)
    assert {w.end - w.first for w in windows} == {min(window, num_frames)}
    for w in windows:
        assert w.first == 0 or w.keep_first - w.first >= context
        assert w.end == num_frames or w.end - w.keep_end >= context


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_in_one_window_gives_the_models_own_features(tiny_models, encoders, song, family):
    waveform = soundfile.read(song, dtype="float32")[0]
    with torch.no_grad():
        inputs = torch.from_numpy(encoders[family].normalize(waveform))[None]
        expected = tiny_models[family].base_model(inputs, output_hidden_states=True).hidden_states
    everything = musicssl.extract(tiny_models[family], song, layer="all")
    assert everything.shape == (599, 4, 32)
    for layer, states in enumerate(expected):
        np.testing.assert_allclose(everything[:, layer], states[0], atol=2e-5)
    last = musicssl.extract(encoders[family], song)
    assert last.shape == (599, 32) and np.array_equal(last, everything[:, -1])


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_equal_the_whole_file_before_attention_and_come_near_it_after(encoders, song, family):
    """State 0 sees at most 64 frames to each side: with 70 of context it is the whole file's, seams included."""
    whole = musicssl.extract(encoders[family], song, layer="all", window_seconds=20)
    cut = musicssl.extract(encoders[family], song, layer="all", window_seconds=4, context_seconds=1.4)
    np.testing.assert_allclose(cut[:, 0], whole[:, 0], atol=5e-5)
    assert np.abs(cut[:, -1] - whole[:, -1]).mean() < 0.3 * whole[:, -1].std()
    # Without the file's statistics, state 0 depends on the window: the reason for the first pass.
    alone = musicssl.extract(
        encoders[family], song, layer="0", window_seconds=4, context_seconds=1.4, file_statistics=False
    )
    assert np.abs(alone - whole[:, 0]).max() > 1e-2


def test_memory_does_not_grow_with_the_file(encoders, song, tmp_path, monkeypatch):
    """No read is longer than a minute, no part handed to the writer longer than a window."""
    long = tmp_path / "long.flac"
    with soundfile.SoundFile(long, "w", RATE, 1) as file:
        for _ in range(15):
            file.write(soundfile.read(song)[0])
    lengths = []
    read = AudioFile.read
    monkeypatch.setattr(AudioFile, "read", lambda self, start, n, *a: lengths.append(n) or read(self, start, n, *a))
    with AudioFile(long) as file:
        windowed = WindowedEncoder(encoders["musichubert"], 5.0, 1.0)
        kept = sum(window.keep_end - window.keep_first for window, _ in windowed.frames(file))
        assert kept == windowed.num_frames(file) == 8999
    assert max(lengths) <= 60 * RATE + 400 and sum(lengths) > 180 * RATE


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_files_hold_what_extract_returns(encoders, song, tmp_path, suffix):
    path = tmp_path / f"song.wav.{suffix}"
    chosen = ExtractSettings(layer="0,3", window_seconds=4, context_seconds=0.5)
    assert extract_to_file(encoders["music2vec"], song, path, chosen)
    expected = musicssl.extract(encoders["music2vec"], song, layer="0,3", window_seconds=4, context_seconds=0.5)
    if suffix == "npz":
        arrays = np.load(path)
        assert list(arrays["layers"]) == ["0", "3"]
        features, times = arrays["features"], arrays["times_seconds"]
    else:
        table = pyarrow.parquet.read_table(path)
        features = np.stack([np.stack(table[f"layer_{name}"].to_numpy()) for name in ("0", "3")], axis=1)
        times = table["time_seconds"].to_numpy()
    assert np.array_equal(features, expected)
    np.testing.assert_allclose(times[:2], [0.0125, 0.0325])

    # Up to date: not touched. Other settings, or another file under the name: written again.
    assert not extract_to_file(encoders["music2vec"], song, path, chosen)
    assert extract_to_file(encoders["music2vec"], song, path, chosen, dtype="float16")
    assert extract_to_file(encoders["musichubert"], song, path, chosen)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("file_statistics", [True, False])
def test_an_mp3_that_ends_before_its_header_says_is_extracted_as_far_as_it_goes(
    encoders, song, tmp_path, file_statistics
):
    _write_cut_mp3(tmp_path / "song.mp3", song, 1000)
    chosen = ExtractSettings(window_seconds=4, context_seconds=1, file_statistics=file_statistics)
    for form in ("npz", "parquet"):
        extract_to_file(encoders["music2vec"], tmp_path / "song.mp3", tmp_path / f"song.{form}", chosen)
    with np.load(tmp_path / "song.npz") as arrays:
        features, times = arrays["features"], arrays["times_seconds"]
    assert len(features) == len(times) and 570 < len(times) < 599
    assert pyarrow.parquet.read_metadata(tmp_path / "song.parquet").num_rows == len(times)


@pytest.mark.parametrize("cut", [3000, 5000, 20000])
def test_an_mp3_that_ends_long_before_its_header_says_is_refused(encoders, song, tmp_path, cut):
    _write_cut_mp3(tmp_path / "song.mp3", song, cut)
    for file_statistics in (True, False):
        chosen = ExtractSettings(window_seconds=4, context_seconds=1, file_statistics=file_statistics)
        with pytest.raises(BadAudio, match="truncated"):
            extract_to_file(encoders["music2vec"], tmp_path / "song.mp3", tmp_path / "song.npz", chosen)
    assert [path.name for path in tmp_path.iterdir()] == ["song.mp3"]


def _write_cut_mp3(path, song, cut):
    """The song as mp3 without its last `cut` bytes; its header still promises all of it."""
    soundfile.write(path, soundfile.read(song)[0], RATE)
    path.write_bytes(path.read_bytes()[:-cut])


def test_an_interrupted_file_leaves_nothing_behind(encoders, song, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "musicssl.features.windows.WindowedEncoder.frames", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        extract_to_file(encoders["music2vec"], song, tmp_path / "song.npz", ExtractSettings())
    assert list(tmp_path.iterdir()) == []


def test_the_command_extracts_a_folder_skips_bad_files_and_resumes(tiny_models, song, tmp_path, capsys):
    save_for_hub(tiny_models["music2vec"], tmp_path / "model")
    music, out = tmp_path / "music", tmp_path / "features"
    (music / "album").mkdir(parents=True)
    for name in ("one.wav", "album/two.wav"):
        (music / name).write_bytes(song.read_bytes())
    (music / "broken.mp3").write_bytes(b"not audio")
    soundfile.write(music / "short.wav", np.zeros(300), RATE)
    command = ["extract", str(music), "--model", str(tmp_path / "model"), "--output_dir", str(out)]

    assert main(command) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("2 written, 0 already there, 2 skipped")
    assert "broken.mp3: not readable" in shown.err and "short.wav: 300 samples are too short" in shown.err
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.npz")) == ["album/two.wav.npz", "one.wav.npz"]
    model = AutoModel.from_pretrained(tmp_path / "model")
    assert np.array_equal(np.load(out / "one.wav.npz")["features"], musicssl.extract(model, song))
    assert main(command) == 1 and capsys.readouterr().out.startswith("0 written, 2 already there")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nowhere.wav"], "nowhere.wav: no such file"),
        (["--layer", "9"], "--layer 9: no such layer in .* available: 0 to 3"),
        (["--context_seconds", "20"], "--context_seconds"),
        (["--model", "/nowhere/at/all"], "--model /nowhere/at/all"),
    ],
)
def test_wrong_flags_name_themselves(tiny_models, song, tmp_path, capsys, flags, message):
    save_for_hub(tiny_models["music2vec"], tmp_path / "model")
    audio = [] if flags[0].endswith(".wav") else [str(song)]
    command = ["extract", *audio, *flags, "--output_dir", str(tmp_path / "out")]
    command += [] if "--model" in flags else ["--model", str(tmp_path / "model")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("error:") == 1
    assert re.search(message, error)


def test_silence_and_audio_of_another_rate_have_features(encoders, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    assert np.isfinite(musicssl.extract(encoders["music2vec"], tmp_path / "silence.wav")).all()
    soundfile.write(tmp_path / "high.wav", np.random.default_rng(0).normal(size=(44100, 2)) * 0.1, 44100)
    assert musicssl.extract(encoders["musichubert"], tmp_path / "high.wav").shape == (49, 32)
    with pytest.raises(BadAudio, match="too short"):
        soundfile.write(tmp_path / "tiny.wav", np.zeros(100), RATE)
        musicssl.extract(encoders["music2vec"], tmp_path / "tiny.wav")
