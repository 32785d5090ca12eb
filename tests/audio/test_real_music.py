"""Real files, with all that their encoders did to them."""

import pytest
import torch

from musicssl.audio.crops import StreamSettings
from musicssl.audio.loader import CropLoader, Workers
from musicssl.audio.sources import parse_sources

pytestmark = pytest.mark.real_music


def test_an_epoch_of_real_music(music_root, tmp_path):
    sources = parse_sources([str(music_root / "pretrain")])
    settings = StreamSettings(crop_seconds=3.0, epochs=1)
    loader = CropLoader(sources, settings, batch_size=8, workers=Workers(2), bad_files=tmp_path / "bad_files.jsonl")
    batches = list(loader)
    seen = [clip_id for batch in batches for clip_id in batch["clip_id"]]
    assert len(seen) == len(set(seen)) == sources[0].num_clips and loader.bad_files.num_damaged == 0
    waveforms = torch.cat([batch["waveform"] for batch in batches])
    assert waveforms.shape[1] == 48000 and waveforms.abs().max() < 1.5
    assert (waveforms.std(dim=1) > 1e-4).all()
