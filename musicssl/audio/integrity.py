"""Tell damaged audio from usable audio: cut-off containers, NaN and infinite samples, silence.

libsndfile opens a file that was cut off and reports what is left of it, so truncation has to be looked for: in its
header log (wav, aiff, au, ogg), in the Xing header (mp3), at the last frames (flac).
"""

import io
import re
import struct

import numpy as np

from musicssl.audio.decode import AudioFile, BadAudio

# -80 dBFS: below the noise floor of 16-bit recordings, above the dither of a digital silence.
SILENCE_PEAK = 1e-4

_DATA_CHUNK = re.compile(r"^ *(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_HEAD_BYTES = 4096


def check_complete(file: AudioFile) -> None:
    """Raise BadAudio when the file holds less audio than its container declares.

    This reads the header and, for flac, the last frame; nothing else is decoded.
    """
    log = file.header_log
    for declared, present in _DATA_CHUNK.findall(log):
        # A writer that cannot seek leaves the largest possible size, which declares nothing.
        open_ended = int(declared) & 0x7FFFF000 == 0x7FFFF000
        if int(present) < int(declared) and not open_ended:
            raise BadAudio(file.name, f"truncated: {present} of {declared} bytes of audio")
    if "Last page lacks an end-of-stream bit" in log and "Junk after the last page" in log:
        raise BadAudio(file.name, "truncated: the last Ogg page is cut off")
    if file.info.format == "MP3":
        _check_xing_size(file)
    if file.info.format == "FLAC":
        file.read_frames(file.info.frames - 1, 1)


def check_samples(name: str, samples: np.ndarray) -> None:
    """Raise BadAudio when any of the samples is NaN or infinite."""
    finite = np.isfinite(samples)
    if not finite.all():
        raise BadAudio(name, f"{samples.size - int(finite.sum())} of {samples.size} samples are NaN or infinite")


def is_silent(samples: np.ndarray, silence_peak: float = SILENCE_PEAK) -> bool:
    """Whether no sample is louder than `silence_peak` (1.0 is full scale)."""
    return samples.size == 0 or max(-float(samples.min()), float(samples.max())) <= silence_peak


def check_whole(file: AudioFile, silence_peak: float = SILENCE_PEAK) -> None:
    """Decode the whole clip in blocks; raise BadAudio when a sample is not finite or all of the clip is silent."""
    silent = True
    for block in file.blocks():
        check_samples(file.name, block)
        silent = silent and is_silent(block, silence_peak)
    if silent:
        raise BadAudio(file.name, f"silent: no sample above {20 * np.log10(max(silence_peak, 1e-12)):.0f} dBFS")


def can_hold_nan(file: AudioFile) -> bool:
    """Whether the samples are floating-point numbers, which alone can be NaN."""
    return file.info.subtype in ("FLOAT", "DOUBLE")


def _check_xing_size(file: AudioFile) -> None:
    with io.BytesIO(file.source) if isinstance(file.source, bytes) else open(file.source, "rb") as stream:
        audio_start = _id3_bytes(stream.read(10))
        stream.seek(audio_start)
        head = stream.read(_HEAD_BYTES)
        present = stream.seek(0, io.SEEK_END) - audio_start
    marker = max(head.find(b"Xing"), head.find(b"Info"))
    if marker < 0 or marker + 16 > len(head):
        return
    has_frames, has_bytes = head[marker + 7] & 1, head[marker + 7] & 2
    if has_bytes:
        (declared,) = struct.unpack_from(">I", head, marker + (12 if has_frames else 8))
        if present < 0.99 * declared:
            raise BadAudio(file.name, f"truncated: {present} of {declared} bytes of audio")


def _id3_bytes(head: bytes) -> int:
    """Length in bytes of the ID3v2 tag in front of an mp3's audio; each byte of its size holds 7 bits."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
