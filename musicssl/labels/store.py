"""Labels on disk: written once for every clip, read for any crop.

Shapes: B clips, T encoder frames, C codebooks.

    runs/NAME/labels/
      labels-00000-00000.parquet   (clip_id, codebook, label_rate_hz, labels int16), one row group per clip
      labels.json                  codebook hashes and the number of clips; written last
"""

import json
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from musichubert.acoustic_features import SAMPLE_RATE, num_frames
from musicssl.errors import UserError
from musicssl.files import partial_path, write_json
from musicssl.labels.labeller import LABEL_RATE_HZ, Labeller

CLIPS_PER_SHARD = 256
HASHES_KEY = b"codebook_hashes"
SCHEMA = pa.schema(
    {"clip_id": pa.string(), "codebook": pa.int16(), "label_rate_hz": pa.float32(), "labels": pa.list_(pa.int16())}
)


def write_labels(
    labeller: Labeller,
    clips: Iterable[tuple[str, np.ndarray]],
    directory: Path,
    accelerator: Accelerator,
    clips_per_shard: int = CLIPS_PER_SHARD,
) -> None:
    """Label whole clips, each process its own share, in shards that appear only when they are complete.

    A second call continues after the last complete shard, also with another number of processes; it does nothing
    when all is written.

    Raises:
        UserError: the labels there came from other codebooks, or there are more clusters than int16 can hold.
    """
    if max(labeller.num_clusters) > np.iinfo(np.int16).max:
        raise UserError(f"--store_labels keeps int16 labels: --num_clusters {max(labeller.num_clusters)} is too many")
    directory.mkdir(parents=True, exist_ok=True)
    shards = sorted(directory.glob("labels-*.parquet"))
    for shard in shards:
        _check_hashes(shard, labeller)
    if (directory / "labels.json").is_file():
        return
    written = {clip_id for shard in shards for clip_id in pq.read_table(shard, columns=["clip_id"])[0].to_pylist()}
    current = _Shard(directory, accelerator.process_index, labeller.hashes)
    seen = set()
    for clip_id, waveform in tqdm(clips, desc="labels", unit="clip", disable=not accelerator.is_main_process):
        if clip_id in seen:
            raise _repeated(directory, clip_id)
        seen.add(clip_id)
        if clip_id in written:
            continue
        labels = labeller.label_track(torch.from_numpy(waveform).to(accelerator.device))
        rates = [source.rate_hz for source in labeller.sources]
        current.add(clip_id, rates, [track.cpu().numpy() for track in labels])
        if current.num_clips == clips_per_shard:
            current.close()
    current.close()
    counts = gather_object([len(seen)])
    if accelerator.is_main_process:
        content = {"codebook_hashes": labeller.hashes, "num_clips": sum(counts)}
        write_json(directory / "labels.json", content, indent=None)
    accelerator.wait_for_everyone()


def _repeated(directory: Path, clip_id: str) -> UserError:
    return UserError(
        f"--store_labels: {directory} cannot hold two clips of --train_data that are called {clip_id}; rename one, or "
        "leave out the flag"
    )


class _Shard:
    """The next free file of this process, renamed to its place when it is closed."""

    def __init__(self, directory: Path, rank: int, hashes: list[str]):
        self.directory, self.rank = directory, rank
        self.schema = SCHEMA.with_metadata({HASHES_KEY: json.dumps(hashes)})
        self.num_clips = 0
        self.writer: pq.ParquetWriter | None = None

    def add(self, clip_id: str, rates: list[float], labels: list[np.ndarray]) -> None:
        if self.writer is None:
            number = len(list(self.directory.glob(f"labels-{self.rank:05d}-*.parquet")))
            self.path = self.directory / f"labels-{self.rank:05d}-{number:05d}.parquet"
            self.writer = pq.ParquetWriter(partial_path(self.path), self.schema)
        columns = [[clip_id] * len(labels), range(len(labels)), rates, [track.astype(np.int16) for track in labels]]
        arrays = [pa.array(list(values), type) for values, type in zip(columns, SCHEMA.types, strict=True)]
        self.writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
        self.num_clips += 1

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            os.replace(partial_path(self.path), self.path)
        self.writer, self.num_clips = None, 0


class StoredLabeller(Labeller):
    """A `Labeller` whose batches are looked up instead of computed; only the clips in use are in memory.

    Raises:
        UserError: nothing complete in `directory`, or labels of other codebooks than `labeller`'s.
    """

    def __init__(self, labeller: Labeller, directory: Path):
        super().__init__(labeller.sources, labeller.codebooks)
        self.auxiliary = labeller.auxiliary
        self.computing = labeller
        self.directory = directory
        if not (directory / "labels.json").is_file():
            raise UserError(f"{directory} holds no complete labels: run again with --store_labels to finish them")
        self.place: dict[str, tuple[Path, int]] = {}
        for shard in sorted(directory.glob("labels-*.parquet")):
            _check_hashes(shard, labeller)
            clip_ids = pq.read_table(shard, columns=["clip_id"])[0].to_pylist()[:: len(self.codebooks)]
            for group, clip_id in enumerate(clip_ids):
                if clip_id in self.place:
                    raise _repeated(directory, clip_id)
                self.place[clip_id] = (shard, group)
        self.clip = lru_cache(maxsize=512)(self._read_clip)
        self._open = lru_cache(maxsize=64)(pq.ParquetFile)

    @property
    def on_the_fly(self) -> Labeller:
        """The labeller that the stored labels came from."""
        return self.computing

    def to(self, device: torch.device | str) -> "StoredLabeller":
        """Labels arrive on `device`; the model that they came from stays where it is."""
        self.device = torch.device(device)
        return self

    def label_batch(self, batch: dict, waveforms: torch.Tensor) -> torch.Tensor:
        """Labels (B, C, T) by `batch["clip_id"]` and `batch["start_sample"]`."""
        frames = num_frames(waveforms.shape[-1])
        starts = batch["start_sample"].tolist()
        crops = [self.crop(clip_id, start, frames) for clip_id, start in zip(batch["clip_id"], starts, strict=True)]
        return torch.from_numpy(np.stack(crops)).to(waveforms.device, non_blocking=True)

    def _read_clip(self, clip_id: str) -> list[np.ndarray]:
        """Labels of a whole clip, every codebook at its feature's rate."""
        if clip_id not in self.place:
            raise UserError(
                f"{self.directory} has no labels of clip {clip_id}: they were written for other data; "
                "remove that folder to write them again"
            )
        shard, group = self.place[clip_id]
        table = self._open(shard).read_row_group(group)
        rates = table["label_rate_hz"].to_pylist()
        expected = [source.rate_hz for source in self.sources]
        if rates != expected:
            raise UserError(f"{shard}: labels of {clip_id} are at {rates} Hz, the label features at {expected} Hz")
        return [np.asarray(row.values) for row in table["labels"]]

    def crop(self, clip_id: str, start_sample: int, num_frames: int) -> np.ndarray:
        """Labels (C, T) int64 of the crop that starts at `start_sample` (16 kHz) of the clip.

        As in the reference the first label is the one nearest to the start, at the feature's own rate: exact where
        crops start at multiples of a label, else at most half a label off.

        Raises:
            UserError: the clip has fewer labels than the crop needs.
        """
        cropped = []
        for source, labels in zip(self.sources, self.clip(clip_id), strict=True):
            first = round(start_sample * source.rate_hz / SAMPLE_RATE)
            indices = first + np.arange(num_frames) * round(source.rate_hz / LABEL_RATE_HZ)
            # Rounding up may ask for one label more than a crop at the very end of the clip has.
            if indices[-1] > len(labels):
                raise UserError(
                    f"{self.directory}: clip {clip_id} has {len(labels)} labels of {source.name}, a crop at sample "
                    f"{start_sample} needs {indices[-1] + 1}: the audio changed; remove that folder to label it again"
                )
            cropped.append(labels[np.minimum(indices, len(labels) - 1)])
        return np.stack(cropped).astype(np.int64)


def _check_hashes(shard: Path, labeller: Labeller) -> None:
    metadata = pq.read_schema(shard).metadata or {}
    found = json.loads(metadata.get(HASHES_KEY, b"null"))
    if found != labeller.hashes:
        raise UserError(
            f"{shard} holds labels of the codebooks {found}, not of {labeller.hashes}: "
            f"remove {shard.parent} to label the audio again"
        )
