"""A crop is the slice of the whole clip, in every format, from files and from bytes."""

import numpy as np
import pytest
import soundfile

from musicssl.audio.decode import AudioFile, BadAudio, audio_info, load_audio
from musicssl.audio.integrity import check_complete, check_whole
from musicssl.audio.write import write_audio

from .conftest import FORMATS, tone


@pytest.mark.parametrize("extension", FORMATS)
def test_crop_equals_slice_of_whole_file(stereo_files, extension):
    path = stereo_files[extension]
    own_rate = audio_info(path).sampling_rate
    whole_own = soundfile.read(path, dtype="float32")[0].mean(axis=1)
    whole = load_audio(path)
    encoded = path.read_bytes()
    for start in (0, 1, 4567, 100_000, len(whole) - 16000):
        for source in (path, encoded):
            crop = load_audio(source, start_seconds=start / 16000, seconds=1.0)
            assert crop.shape == (16000,) and crop.dtype == np.float32
            np.testing.assert_allclose(crop, whole[start : start + 16000], atol=1e-6)
            own = load_audio(source, own_rate, start_seconds=start / own_rate, seconds=1.0)
            assert np.array_equal(own, whole_own[start : start + own_rate])


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 37123, 96000])
def test_every_rate_keeps_length_and_phase(tmp_path, rate):
    time = np.arange(rate * 3) / rate
    write_audio(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time), rate, subtype="FLOAT")
    crop = load_audio(tmp_path / "a.wav", start_seconds=1.0, seconds=1.0)
    expected = 0.5 * np.sin(2 * np.pi * 440 * (1 + np.arange(16000) / 16000))
    np.testing.assert_allclose(crop, expected, atol=1e-4)
    assert len(load_audio(tmp_path / "a.wav")) == 48000


def test_channel_modes(tmp_path):
    stereo = tone(1.0, channels=2)
    write_audio(tmp_path / "a.wav", stereo, 16000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), stereo.mean(axis=1), atol=1e-7)
    assert np.array_equal(load_audio(tmp_path / "a.wav", channel_mode="left"), stereo[:, 0])
    assert np.array_equal(load_audio(tmp_path / "a.wav", channel_mode="random", channel_draw=7), stereo[:, 1])


def test_minutes_of_vorbis_are_written_in_blocks(tmp_path):
    write_audio(tmp_path / "long.ogg", np.tile(tone(20.0, 44100, channels=2), (9, 1)), 44100)
    assert audio_info(tmp_path / "long.ogg").seconds == 180.0


@pytest.mark.parametrize("extension", FORMATS)
def test_a_cut_off_file_is_damaged(stereo_files, tmp_path, extension):
    encoded = stereo_files[extension].read_bytes()
    with AudioFile(encoded) as file:
        check_complete(file)
    cut = tmp_path / f"cut{extension}"
    cut.write_bytes(encoded[: len(encoded) * 2 // 3])
    for source in (cut, cut.read_bytes()):
        with pytest.raises(BadAudio, match=r"truncated|cannot be decoded"), AudioFile(source) as file:
            check_complete(file)


def test_unusable_files_say_why(tmp_path):
    def reason(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadAudio) as caught:
            load_audio(tmp_path / name)
        assert caught.value.source.endswith(name)
        return caught.value.reason

    write_audio(tmp_path / "good.wav", tone(1.0), 16000)
    good = (tmp_path / "good.wav").read_bytes()
    assert reason("empty.wav", b"") == "empty file"
    assert "not readable" in reason("text.wav", b"just some words\n" * 40)
    assert "not readable" in reason("header.wav", good[:20])
    assert "hannel" in reason("channels.wav", good[:22] + b"\0\0" + good[24:])
    assert reason("samples.wav", good[:44]) in ("no samples", "not readable as audio: Unspecified internal error")
    with pytest.raises(BadAudio, match="no such file"):
        load_audio(tmp_path / "missing.wav")


def test_nan_and_silence_are_found_anywhere_in_a_clip(tmp_path):
    samples = tone(1.0)
    samples[9000] = np.nan
    write_audio(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    write_audio(tmp_path / "silent.wav", np.zeros(16000, np.float32), 16000)
    for name, reason in (("nan.wav", "1 of 16000 samples are NaN"), ("silent.wav", "silent")):
        with pytest.raises(BadAudio, match=reason), AudioFile(tmp_path / name) as file:
            check_whole(file)
