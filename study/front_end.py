"""What the convolutions of a network compute: the share of the variance of their output that is between clips.

Random filters pass the phase of the wave: their outputs jump from frame to frame, around a mean that is nearly the
same for all music. Filters that detect level and timbre give each clip a mean of its own.

Shapes: B clips, T frames, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy import stats

from musicssl.audio.crops import StreamSettings
from musicssl.audio.loader import CropLoader
from musicssl.audio.sources import parse_sources
from musicssl.files import read_json, write_json
from musicssl.probing.encoders.huggingface import HuggingFaceEncoder, load_encoder
from study.measurements import Study
from study.plan import Trial

NAME = "front_end.json"
CLIPS, CLIP_SECONDS, CLIPS_AT_ONCE = 96, 2.0, 16
MEASURED_ON = {"crops": CLIPS, "crop_seconds": CLIP_SECONDS, "of": "projected convolutions"}
FAMILIES = ("music2vec", "musichubert")
# Tasks on which front ends that pass the phase and those that detect levels differ.
TASKS = ("notes_pitch", "notes_pitch_class", "magnatagatune", "gtzan_rhythm")


@dataclass(frozen=True)
class FrontEnd:
    """The share of variance between clips of one trained or random network, and its scores (task -> 0 to 1)."""

    arm: str
    seed: int
    between_clips: float
    scores: dict[str, float]


def measure_front_ends(trials: Sequence[Trial], train_data: Sequence[str]) -> None:
    """Write `front_end.json` for every probed network with convolutions and without such a file, on the same crops."""
    wanted = [
        trial for trial in trials
        if trial.config is not None
        and not trial.config.model.model_config.get("front_end_features")
        and (trial.folder / "probe" / "results.json").is_file()
        and _measured(trial.folder) is None
    ]  # fmt: skip
    if not wanted:
        return
    settings = StreamSettings(crop_seconds=CLIP_SECONDS, min_seconds=CLIP_SECONDS)
    clips = next(iter(CropLoader(parse_sources(train_data), settings, CLIPS)))["waveform"]
    for trial in wanted:
        share = between_clips(load_encoder(trial.encoder, seed=trial.seed), clips)
        write_json(trial.folder / NAME, {**MEASURED_ON, "between_clips": share})


def _measured(folder: Path) -> float | None:
    """The share in the folder's file, or None when there is none for these crops."""
    path = folder / NAME
    found = read_json(path) if path.is_file() else {}
    return found.get("between_clips") if found.items() >= MEASURED_ON.items() else None


def between_clips(encoder: HuggingFaceEncoder, clips: torch.Tensor) -> float:
    """Share of the variance of the projected convolutions that is between the means of clips: 0 to 1, mean over D.

    It is measured before the positional convolution, which would smooth over neighbouring frames.

    Args:
        clips: raw waveforms (B, N) at the encoder's sampling rate.
    """
    normalised = torch.stack([torch.from_numpy(encoder.normalize(clip)) for clip in clips.numpy()])
    with torch.no_grad():
        frames = torch.cat([_projected(encoder.model, part) for part in normalised.split(CLIPS_AT_ONCE)]).double()
    share = frames.mean(dim=1).var(dim=0, correction=0) / frames.flatten(0, 1).var(dim=0, correction=0)
    return float(share.mean())


def _projected(model: torch.nn.Module, waveforms: torch.Tensor) -> torch.Tensor:
    """(B, N) -> (B, T, D)"""
    projected = model.feature_projection(model.feature_extractor(waveforms).transpose(1, 2))
    return projected[0] if isinstance(projected, tuple) else projected  # data2vec's also returns its normalized input


def front_ends(study: Study) -> list[FrontEnd]:
    """Every measured network; each pre-training seed is one network."""
    found = []
    for arm, measured in study.arms.items():
        scores = {task: measured.seed_averages([task]) for task in study.tasks}
        for place, (seed, folder) in enumerate(zip(measured.seeds, measured.folders, strict=True)):
            share = _measured(folder.parent)
            if share is not None:
                found.append(FrontEnd(arm, seed, share, {task: float(own[place]) for task, own in scores.items()}))
    return found


def chosen_tasks(study: Study) -> list[str]:
    """Those of `TASKS` that the study has, or else its first tasks."""
    return [task for task in TASKS if task in study.tasks] or study.tasks[: len(TASKS)]


def rank_correlation(found: Sequence[FrontEnd], task: str) -> float:
    """Spearman's rank correlation of the share of variance and the score of a task."""
    return float(stats.spearmanr([each.between_clips for each in found], [each.scores[task] for each in found])[0])
