"""The training audio that the study makes: two sets of equal length.

```
OUTPUT_DIR/speech/      the training clips of the speakers in --probe_data, joined into tracks
OUTPUT_DIR/excerpt/     as many seconds of --train_data, to compare speech with
```
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicssl.audio.decode import audio_info, load_audio
from musicssl.audio.walk import audio_files
from musicssl.audio.write import write_audio
from musicssl.errors import UserError
from study.plan import EXCERPT, SPEECH

SAMPLING_RATE = 16000
SPEAKERS = "speaker/train"
TRACK_SECONDS = 20


def check_speech_and_excerpt(probe_data: Path, train_data: Sequence[str]) -> None:
    """Check, before anything is written, that the data hold the speech and as many seconds of music.

    Raises:
        UserError: as in `write_speech` and `write_excerpt`.
    """
    _speech_files(probe_data)
    _excerpt_files(train_data, total_seconds(probe_data / SPEAKERS))


def write_speech(probe_data: Path, folder: Path) -> Path:
    """Join the speakers' training clips into tracks of `TRACK_SECONDS`.

    Raises:
        UserError: `probe_data` has no speakers.
    """
    files = _speech_files(probe_data)
    speech = np.concatenate([load_audio(path, SAMPLING_RATE) for path in files])
    length = TRACK_SECONDS * SAMPLING_RATE
    _write_tracks([speech[start : start + length] for start in range(0, len(speech), length)], folder)
    return folder


def write_excerpt(train_data: Sequence[str], seconds: float, folder: Path) -> Path:
    """Cut `seconds` of music into tracks of at most `TRACK_SECONDS`, from the middle of evenly chosen files.

    Raises:
        UserError: a source is not a folder, or has too few files that are long enough.
    """
    tracks, left = [], seconds
    for path in _excerpt_files(train_data, seconds):
        length = min(TRACK_SECONDS, left)
        start = (audio_info(path).seconds - length) / 2
        tracks.append(load_audio(path, SAMPLING_RATE, start_seconds=start, seconds=length))
        left -= length
    _write_tracks(tracks, folder)
    return folder


def total_seconds(folder: Path) -> float:
    """Length of all audio in a folder."""
    return sum(audio_info(path).seconds for path in audio_files(folder))


def _speech_files(probe_data: Path) -> list[Path]:
    files = audio_files(probe_data / SPEAKERS)
    if not files:
        raise UserError(f"--arms {SPEECH}: no folder {SPEAKERS} in {probe_data}; leave the arm out")
    return files


def _excerpt_files(train_data: Sequence[str], seconds: float) -> list[Path]:
    """One file per track, chosen evenly from all files that are long enough."""
    files = [path for source in train_data for path in audio_files(Path(source))]
    files = [path for path in files if audio_info(path).seconds >= TRACK_SECONDS]
    count = -(-int(seconds) // TRACK_SECONDS)
    if len(files) < count:
        raise UserError(
            f"--arms {EXCERPT}: --train_data has {len(files)} files of at least {TRACK_SECONDS} s, but {count} are "
            "needed; give folders with more music, or leave the arm out"
        )
    return files[:: len(files) // count][:count]


def _write_tracks(tracks: Sequence[np.ndarray], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, track in enumerate(tracks):
        path = folder / f"track-{number:03d}.flac"
        if not path.exists():
            write_audio(path, track, SAMPLING_RATE)
