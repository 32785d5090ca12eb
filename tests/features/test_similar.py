"""Neighbours by sound, and a page that stands on its own."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from musicssl.commands.main import main
from musicssl.errors import UserError
from musicssl.features.extract import ExtractSettings, open_encoder
from musicssl.features.similar import find_similar, nearest
from musicssl.model_files import save_for_hub

RATE = 16_000


@pytest.fixture
def collection(tmp_path):
    """Three low tones, three of noise; one file that is no audio."""
    folder = tmp_path / "clips <&>"
    (folder / "noise").mkdir(parents=True)
    generator = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    for n in range(3):
        tone = 0.3 * np.sin(2 * np.pi * (100 + n) * time)
        soundfile.write(folder / f"tone{n}.wav", tone, RATE)
        soundfile.write(folder / "noise" / f"noise{n}.flac", 0.1 * generator.standard_normal(len(time)), RATE)
    (folder / "notes.mp3").write_bytes(b"no music")
    return folder


def test_a_tones_neighbours_are_tones(tiny_models, collection, tmp_path):
    encoder = open_encoder(tiny_models["music2vec"])
    query = collection / "tone0.wav"
    found, total, bad = find_similar(encoder, query, collection, tmp_path / "cache", 5, ExtractSettings(layer="1"))
    assert total == len(found) == 5 and len(bad) == 1 and "notes.mp3" in bad[0]
    assert [n.name for n in found[:2]] in (["tone1.wav", "tone2.wav"], ["tone2.wav", "tone1.wav"])
    assert [n.score for n in found] == sorted((n.score for n in found), reverse=True)
    assert found[1].score > 0.5 > found[2].score


def test_scores_are_cosines_about_the_mean():
    generator = np.random.default_rng(0)
    clips = generator.standard_normal((50, 8)).astype(np.float32) + 10
    query = clips[7] + 0.01
    scores, indices = nearest(query, clips, 50)
    centred = clips - clips.mean(axis=0)
    wanted = query - clips.mean(axis=0)
    expected = centred @ wanted / np.linalg.norm(centred, axis=1) / np.linalg.norm(wanted)
    assert indices[0] == 7
    np.testing.assert_allclose(scores, np.sort(expected)[::-1], atol=1e-5)


def test_the_command_writes_a_page_with_players_inside(tiny_models, collection, tmp_path, capsys):
    save_for_hub(tiny_models["musichubert"], tmp_path / "model")
    page = tmp_path / "page.html"
    command = ["similar", str(collection / "tone1.wav"), str(collection), "--model", str(tmp_path / "model")]
    assert main([*command, "--count", "3", "--output", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and re.fullmatch(r"-?\d\.\d{3}  \S+", lines[0])
    html = page.read_text()
    players = re.findall(r'src="data:audio/ogg;base64,([^"]+)"', html)
    assert len(players) == 4 and "http" not in html
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0])))
    assert rate == 22_050 and abs(len(samples) - 2 * rate) < 10 and np.abs(samples).max() > 0.2
    # The features are kept in the folder, out of the next search's way.
    features = sorted((collection / ".features").rglob("*.npz"))
    assert len(features) == 7
    before = [path.stat().st_mtime_ns for path in features]
    assert main([*command, "--count", "3"]) == 0
    assert [path.stat().st_mtime_ns for path in features] == before


def test_what_cannot_be_searched_is_said(tiny_models, collection, tmp_path):
    encoder = open_encoder(tiny_models["music2vec"])
    with pytest.raises(UserError, match="--layer all: .* with one layer"):
        find_similar(encoder, collection / "tone0.wav", collection, tmp_path, 3, ExtractSettings(layer="all"))
    with pytest.raises(UserError, match=r"notes\.mp3: not readable"):
        find_similar(encoder, collection / "notes.mp3", collection, tmp_path, 3, ExtractSettings())
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    (lonely / "one.wav").write_bytes((collection / "tone0.wav").read_bytes())
    with pytest.raises(UserError, match="no clip can be read, apart from the query"):
        find_similar(encoder, lonely / "one.wav", lonely, tmp_path / "c", 3, ExtractSettings())
