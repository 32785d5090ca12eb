"""Labels: the nearest centroid of every encoder frame, by each of the codebooks.

Shapes: B clips, N samples at 16 kHz, T encoder frames (50 Hz), F frames of a feature, d values, C codebooks.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from musichubert.acoustic_features import (
    ENCODER_HOP,
    FIELD,
    LABEL_RATE_HZ,
    SAMPLE_RATE,
    FeatureRecipe,
    at_label_rate,
    feature_recipe,
    num_frames,
)
from musichubert.errors import LabelError
from musicssl.labels.codebook import Codebook
from musicssl.labels.layer_features import LayerFeatures

# What labels are clustered from. Both have a name, dimension, rate_hz, edge_seconds, fingerprint, compute and to.
FeatureSource = FeatureRecipe | LayerFeatures


def window_features(
    source: FeatureSource, waveform: torch.Tensor, window_seconds: float = 30.0
) -> Iterator[torch.Tensor]:
    """Features of a long track, window by window, as if it had been computed whole.

    Windows overlap by the source's reach on both sides and only frames beyond that reach are kept, so acoustic
    features equal those of the whole track and a model's layers nearly do.

    Args:
        waveform: (N,) on the device to compute on.

    Yields:
        (F_i, d): all the frames of the track in order, each once; nothing for a track shorter than one frame.
    """
    total = num_frames(len(waveform))
    edge = math.ceil(source.edge_seconds * LABEL_RATE_HZ)
    step = max(round(window_seconds * LABEL_RATE_HZ) - 2 * edge, edge, 1)
    per_frame = round(source.rate_hz / LABEL_RATE_HZ)
    for start in range(0, total, step):
        stop = min(start + step, total)
        first, last = max(start - edge, 0), min(stop + edge, total)
        # All that belongs to frames before `last`, 100 Hz ones too; the last window runs to the track's very end.
        end = len(waveform) if last == total else last * ENCODER_HOP + FIELD - ENCODER_HOP // 2
        frames = source.compute(waveform[None, first * ENCODER_HOP : end])[0]
        keep = frames[(start - first) * per_frame :]
        yield keep if stop == total else keep[: (stop - start) * per_frame]


class Labeller:
    """Waveforms in, labels of every codebook out, aligned with the encoder's frames.

    Args:
        sources: one per codebook: the name of an acoustic feature, a `FeatureRecipe` or `LayerFeatures`.
        codebooks: fitted on exactly those sources.
        auxiliary: acoustic feature regressed beside the labels (MERT: "cqt336"), or None.

    Raises:
        LabelError: a codebook fitted on another feature, or on another version of it.
    """

    def __init__(
        self,
        sources: Sequence[str | FeatureSource],
        codebooks: Sequence[Codebook],
        auxiliary: str | None = None,
    ):
        if len(sources) != len(codebooks) or not codebooks:
            raise LabelError(f"{len(sources)} label features for {len(codebooks)} codebooks: give one each")
        self.sources: list[FeatureSource] = [
            feature_recipe(source) if isinstance(source, str) else source for source in sources
        ]
        self.codebooks = list(codebooks)
        self.device = torch.device("cpu")
        self.auxiliary = feature_recipe(auxiliary) if auxiliary else None
        for source, codebook in zip(self.sources, self.codebooks, strict=True):
            _check_belongs(source, codebook)

    @property
    def num_clusters(self) -> list[int]:
        return [codebook.num_clusters for codebook in self.codebooks]

    @property
    def label_features(self) -> list[str]:
        return [source.name for source in self.sources]

    @property
    def hashes(self) -> list[str]:
        return [codebook.hash for codebook in self.codebooks]

    @property
    def auxiliary_dim(self) -> int:
        return self.auxiliary.dimension if self.auxiliary else 0

    def config_fields(self) -> dict:
        """What a MusicHubertConfig records of its labels."""
        return {
            "num_clusters": self.num_clusters,
            "label_features": self.label_features,
            "label_rate_hz": LABEL_RATE_HZ,
            "codebook_hashes": self.hashes,
            "auxiliary_dim": self.auxiliary_dim,
        }

    def to(self, device: torch.device | str) -> "Labeller":
        """The same labeller, with the layers of earlier models moved to `device`."""
        self.device = torch.device(device)
        self.sources = [source.to(device) for source in self.sources]
        return self

    @torch.no_grad()
    def __call__(self, waveform: torch.Tensor, sampling_rate: int = SAMPLE_RATE) -> torch.Tensor:
        """Labels of raw (never normalized) waveforms.

        A 100 Hz feature gives every second label, as the reference takes them; frame t of the labels covers the
        same samples as frame t of the encoder.

        Args:
            waveform: (B, N) float.

        Returns:
            (B, C, T) int64 on the waveform's device.

        Raises:
            LabelError: another sampling rate, or a clip shorter than one frame.
        """
        if sampling_rate != SAMPLE_RATE:
            raise LabelError(f"labels need audio at {SAMPLE_RATE} Hz, got {sampling_rate} Hz: resample it first")
        batch = len(waveform)
        labels = []
        computed = {}  # several codebooks may share a feature
        with torch.autocast(waveform.device.type, enabled=False):
            for source, codebook in zip(self.sources, self.codebooks, strict=True):
                if source.fingerprint not in computed:
                    computed[source.fingerprint] = at_label_rate(source, source.compute(waveform), dim=1)
                labels.append(codebook.assign(computed[source.fingerprint].flatten(0, 1)).view(batch, -1))
        return torch.stack(labels, dim=1)

    @property
    def on_the_fly(self) -> "Labeller":
        """The labeller that computes its labels, for clips whose labels are not stored."""
        return self

    def label_batch(self, batch: dict, waveforms: torch.Tensor) -> torch.Tensor:
        """Labels (B, C, T) of a batch of the stream whose raw waveforms (B, N) are already on the device."""
        return self(waveforms)

    @torch.no_grad()
    def label_track(self, waveform: torch.Tensor, window_seconds: float = 30.0) -> list[torch.Tensor]:
        """Labels of a whole track (N,), every codebook at its feature's own rate: C tensors (F,) int64."""
        tracks = []
        for source, codebook in zip(self.sources, self.codebooks, strict=True):
            windows = [codebook.assign(frames) for frames in window_features(source, waveform, window_seconds)]
            tracks.append(torch.cat(windows) if windows else torch.empty(0, dtype=torch.int64))
        return tracks

    @torch.no_grad()
    def auxiliary_targets(self, waveform: torch.Tensor) -> torch.Tensor | None:
        """The regression target (B, T, bins) of raw waveforms (B, N), or None without one."""
        if self.auxiliary is None:
            return None
        with torch.autocast(waveform.device.type, enabled=False):
            return at_label_rate(self.auxiliary, self.auxiliary.compute(waveform), dim=1)

    def save(self, directory: str | Path) -> None:
        """Write every codebook to its own numbered folder below `directory`."""
        for number, (source, codebook) in enumerate(zip(self.sources, self.codebooks, strict=True)):
            codebook.save(Path(directory) / f"{number}-{source.name}")

    @classmethod
    def load(cls, directory: str | Path, auxiliary: str | None = None) -> "Labeller":
        """Read what `save` wrote; the checkpoint of a layer's model must still be where it was.

        Raises:
            LabelError: no codebook there, or one that no longer fits its feature.
        """
        folders = sorted((path for path in Path(directory).glob("[0-9]*-*") if path.is_dir()), key=_number)
        if not folders:
            raise LabelError(f"{directory} holds no codebook")
        codebooks = [Codebook.load(folder) for folder in folders]
        return cls([source_of(codebook) for codebook in codebooks], codebooks, auxiliary)


def source_of(codebook: Codebook) -> FeatureSource:
    """The feature a codebook was fitted on, by its metadata."""
    if "checkpoint" in codebook.metadata:
        return LayerFeatures.from_checkpoint(codebook.metadata["checkpoint"], codebook.metadata["layer"])
    return feature_recipe(codebook.metadata.get("feature", ""))


def describe(source: FeatureSource) -> dict:
    """Codebook metadata that identifies a source, so that `source_of` finds it again."""
    described = {
        "feature": source.name,
        "feature_fingerprint": source.fingerprint,
        "feature_rate_hz": source.rate_hz,
    }
    if isinstance(source, LayerFeatures):
        described |= {"checkpoint": source.checkpoint, "layer": source.layer}
    return described


def _number(folder: Path) -> int:
    return int(folder.name.split("-")[0])


def _check_belongs(source: FeatureSource, codebook: Codebook) -> None:
    feature, fingerprint = (codebook.metadata.get(key) for key in ("feature", "feature_fingerprint"))
    if feature != source.name:
        raise LabelError(f"codebook {codebook.hash} was fitted on {feature}, not on {source.name}")
    if fingerprint != source.fingerprint:
        raise LabelError(
            f"codebook {codebook.hash} was fitted with other settings of {feature} ({fingerprint}) than the current "
            f"ones ({source.fingerprint}): fit it again"
        )
    if codebook.dimension != source.dimension:
        raise LabelError(f"codebook {codebook.hash} has d = {codebook.dimension}, {feature} has {source.dimension}")
