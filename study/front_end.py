"""What the convolutions of a network have become: how much of the transformer's input tells one clip from another.

Random filters let the phase of a wave through: their outputs jump from frame to frame, around a mean that is nearly
the same for all music. Filters that have become detectors of level and timbre give each clip a mean of its own.

Shapes: B clips, T frames, D width.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import stats

from musicssl.audio.crops import StreamSettings
from musicssl.audio.loader import CropLoader
from musicssl.audio.sources import parse_sources
from musicssl.pretraining.recipes import parse_mapping
from musicssl.probing.encoders import HuggingFaceEncoder, load_encoder
from musicssl.probing.store import write_json
from study.measurements import Study
from study.plan import Trial

NAME = "front_end.json"
CLIPS, CLIP_SECONDS, CLIPS_AT_ONCE = 96, 2.0, 16
FAMILIES = ("music2vec", "musichubert")
# What tells a front end of envelopes from one of waves.
TASKS = ("notes_pitch", "notes_pitch_class", "magnatagatune", "gtzan_rhythm")


@dataclass(frozen=True)
class FrontEnd:
    """One trained or random network: the share of variance between clips, and its scores, task -> 0 to 1."""

    arm: str
    seed: int
    between_clips: float
    scores: dict[str, float]


def measure_front_ends(trials: Sequence[Trial], train_data: Sequence[str]) -> None:
    """Write `front_end.json` for every network with convolutions that is probed and has none yet.

    Args:
        train_data: all are measured on the same clips of it.
    """
    wanted = [
        trial for trial in trials
        if trial.arguments is not None
        and not parse_mapping(trial.arguments.model_config).get("front_end_features")
        and (trial.folder / "probe" / "results.json").is_file()
        and not (trial.folder / NAME).is_file()
    ]  # fmt: skip
    if not wanted:
        return
    settings = StreamSettings(crop_seconds=CLIP_SECONDS, min_seconds=CLIP_SECONDS)
    clips = next(iter(CropLoader(parse_sources(train_data), settings, CLIPS)))["waveform"]
    for trial in wanted:
        share = between_clips(load_encoder(trial.encoder, seed=trial.seed), clips)
        write_json(trial.folder / NAME, {"between_clips": share})


def between_clips(encoder: HuggingFaceEncoder, clips: torch.Tensor) -> float:
    """Share of the variance of state 0 that is between the means of clips, 0 to 1, averaged over its D dimensions.

    Args:
        clips: raw waveforms (B, N) at the encoder's rate.
    """
    normalised = torch.stack([torch.from_numpy(encoder.normalise(clip)) for clip in clips.numpy()])
    state = torch.cat([encoder.frames(part)[:, 0] for part in normalised.split(CLIPS_AT_ONCE)]).double()  # (B, T, D)
    share = state.mean(dim=1).var(dim=0, correction=0) / state.flatten(0, 1).var(dim=0, correction=0)
    return float(share.mean())


def front_ends(study: Study) -> list[FrontEnd]:
    """Every measured network, pre-training seeds apart."""
    found = []
    for arm, measured in study.arms.items():
        for seed, folder, result in zip(measured.seeds, measured.folders, measured.results, strict=True):
            path = folder.parent / NAME
            if path.is_file():
                scores = {
                    task: result["tasks"][task]["metrics"][measured.metric(task)]["mean"] for task in study.tasks
                }
                found.append(FrontEnd(arm, seed, json.loads(path.read_text())["between_clips"], scores))
    return found


def chosen_tasks(study: Study) -> list[str]:
    """Those of `TASKS` that the study has, else its first."""
    return [task for task in TASKS if task in study.tasks] or study.tasks[: len(TASKS)]


def rank_correlation(found: Sequence[FrontEnd], task: str) -> float:
    """Spearman's, between the share of variance and the score of a task."""
    return float(stats.spearmanr([each.between_clips for each in found], [each.scores[task] for each in found])[0])
