"""Extract features of audio files of any length.

Shapes: T frames of a file (20 ms apart for our models), S chosen layers, D width.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoFeatureExtractor, PreTrainedModel

from musicssl.audio.decode import AUDIO_EXTENSIONS, AudioFile, BadAudio
from musicssl.audio.walk import audio_files
from musicssl.errors import UserError
from musicssl.families import FAMILIES, check_model_directory, feature_extractor_for
from musicssl.features.feature_files import frame_writer, read_settings
from musicssl.features.windows import WindowedEncoder
from musicssl.probing.encoders.acoustic import AcousticEncoder
from musicssl.probing.encoders.huggingface import HuggingFaceEncoder, load_encoder


@dataclasses.dataclass(frozen=True)
class ExtractSettings:
    """How features are computed.

    Attributes:
        layer: "last", "all", one layer ("0" is the transformer's input, "12" the output of layer 12), or "3,6,9".
        window_seconds: the length that the transformer attends over; music2vec was trained on 30 s.
        context_seconds: how much is computed but not kept at both ends of a window.
        file_statistics: normalize over the whole file; False normalizes every window by itself.
    """

    layer: str = "last"
    window_seconds: float = 30.0
    context_seconds: float = 2.5
    file_statistics: bool = True


def open_encoder(
    model: str | Path | PreTrainedModel, device: str = "cpu", trust_remote_code: bool = False
) -> HuggingFaceEncoder:
    """The encoder behind a directory, a Hub id or a loaded model.

    Raises:
        UserError: there is no model, or only a pickle or a damaged file, or it is an acoustic feature.
    """
    if isinstance(model, PreTrainedModel):
        encoder_model = model.base_model
        if encoder_model.config.model_type in FAMILIES:
            extractor = feature_extractor_for(encoder_model.config)
        else:
            extractor = AutoFeatureExtractor.from_pretrained(encoder_model.config.name_or_path)
        return HuggingFaceEncoder(type(encoder_model).__name__, encoder_model, extractor)
    if Path(model).is_dir():
        check_model_directory(Path(model))
    encoder = load_encoder(str(model), trust_remote_code=trust_remote_code)
    if isinstance(encoder, AcousticEncoder):
        raise UserError(f"--model {encoder.name}: choose an encoder of waveforms with a constant frame rate")
    return encoder.to(torch.device(device))


def choose_layers(encoder: HuggingFaceEncoder, layer: str) -> list[int]:
    """The indices of the hidden states that `layer` names; UserError when the model has no such layer."""
    names = encoder.state_names
    chosen = {"last": names[-1:], "all": names}.get(layer) or tuple(part.strip() for part in str(layer).split(","))
    if unknown := [name for name in chosen if name not in names]:
        raise UserError(
            f"--layer {', '.join(unknown)}: no such layer in {encoder.name}; available: 0 to {names[-1]}, last, all"
        )
    return [names.index(name) for name in chosen]


def extract(model: str | Path | PreTrainedModel | HuggingFaceEncoder, path: str | Path, **settings: Any) -> np.ndarray:
    """Features of one audio file of any length.

    Args:
        model: a directory, a Hub id, or a loaded model.
        path: an audio file that libsndfile reads; it is mixed to mono and resampled to the model's rate.
        settings: the fields of `ExtractSettings`.

    Returns:
        float32 (T, D), or (T, S, D) for several layers.

    Raises:
        UserError: `model` cannot be loaded, or has no such layer.
        BadAudio: the file cannot be read or is shorter than one frame (25 ms).
    """
    encoder = model if isinstance(model, HuggingFaceEncoder) else open_encoder(model)
    chosen_settings = ExtractSettings(**settings)
    chosen = choose_layers(encoder, str(chosen_settings.layer))
    with AudioFile(path) as file:
        parts = list(_kept_frames(_windowed(encoder, chosen_settings), file, chosen))
    features = np.concatenate(parts)
    return features[:, 0] if len(chosen) == 1 else features


def _windowed(encoder: HuggingFaceEncoder, settings: ExtractSettings) -> WindowedEncoder:
    return WindowedEncoder(encoder, settings.window_seconds, settings.context_seconds, settings.file_statistics)


def _kept_frames(
    windowed: WindowedEncoder, file: AudioFile, chosen: list[int], progress: tqdm | None = None
) -> Iterator[np.ndarray]:
    """The features of the file in pieces (frames, S, D)."""
    for window, states in windowed.frames(file):
        kept = states[chosen, window.keep_first - window.first : window.keep_end - window.first]
        yield kept.transpose(0, 1).cpu().numpy()
        if progress is not None:
            progress.update((window.keep_end - window.keep_first) / windowed.frame_rate_hz)


def extract_to_file(
    encoder: HuggingFaceEncoder,
    source: Path,
    path: Path,
    settings: ExtractSettings,
    dtype: str = "float32",
    progress: tqdm | None = None,
) -> bool:
    """Write the features of one file to `path`, unless they are there already; return whether they were written."""
    chosen = choose_layers(encoder, settings.layer)
    stat = source.stat()
    recorded = {
        **dataclasses.asdict(settings), "dtype": dtype, "model": encoder.name, "fingerprint": encoder.fingerprint,
        "bytes": stat.st_size, "modified": stat.st_mtime,
    }  # fmt: skip
    if read_settings(path) == recorded:
        return False
    windowed = _windowed(encoder, settings)
    with AudioFile(source) as file:
        num_frames = windowed.num_frames(file)
        middle = (np.arange(num_frames) * windowed.hop + windowed.field / 2) / windowed.sampling_rate
        layers = [encoder.state_names[index] for index in chosen]
        width = encoder.model.config.hidden_size
        with frame_writer(path, layers, middle, width, dtype, recorded) as write:
            for frames in _kept_frames(windowed, file, chosen, progress):
                write(frames)
    return True


def find_audio(texts: list[str]) -> list[tuple[Path, Path]]:
    """Audio files from files and folders: (file, its path below the folder that was given) for each.

    Raises:
        UserError: nothing is there, a folder holds no audio, or two files would share one file of features.
    """
    found = []
    for text in texts:
        path = Path(text)
        if path.is_dir():
            inside = audio_files(path)
            if not inside:
                raise UserError(f"{path}: no audio in this folder ({', '.join(sorted(AUDIO_EXTENSIONS))})")
            found += [(file, file.relative_to(path)) for file in inside]
        elif path.is_file():
            found.append((path, Path(path.name)))
        else:
            raise UserError(f"{path}: no such file or folder")
    names = [str(name) for _, name in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two inputs are named {min(twice)} and would write the same file: run once per folder")
    return found


def total_seconds(files: list[tuple[Path, Path]]) -> float:
    """The length of all files that `find_audio` found; one that cannot be read counts as 0."""
    total = 0.0
    for file, _ in files:
        with contextlib.suppress(BadAudio), AudioFile(file) as audio:
            total += audio.info.seconds
    return total
