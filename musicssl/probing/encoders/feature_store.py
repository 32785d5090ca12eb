"""A content-addressed store of encoder features: append-only Arrow streams, memory-mapped when read.

Key = hash of the clip's audio bytes and of the part taken; the folder = hash of the encoder and of the pooling.
Each process of each run appends to its own file, one record batch per encoder batch: a killed run loses at most the
batch it was working on, and a restarted run encodes no stored clip again.
"""

import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from musicssl.files import write_json

_VALUES = {"float16": pa.float16(), "float32": pa.float32()}


class FeatureStore:
    """Features of one encoder with one pooling.

    Args:
        directory: this encoder's folder; made when absent.
        dtype: "float16" or "float32".
        description: written to `encoder.json`, for people who look into the folder.
    """

    def __init__(self, directory: Path, dtype: str = "float16", description: dict | None = None) -> None:
        self.directory = directory
        self.dtype = np.dtype(dtype)
        self.schema = pa.schema(
            [("key", pa.string()), ("shape", pa.list_(pa.int32())), ("values", pa.large_list(_VALUES[dtype]))]
        )
        directory.mkdir(parents=True, exist_ok=True)
        if description is not None:
            write_json(directory / "encoder.json", description, shared=True)
        self._rows: dict[str, tuple[pa.RecordBatch, int]] = {}
        self._seen: set[Path] = set()
        self._writer: pa.RecordBatchStreamWriter | None = None
        self.refresh()

    def refresh(self) -> None:
        """Index what other processes and earlier runs wrote."""
        for path in sorted(self.directory.glob("*.arrow")):
            if path not in self._seen:
                self._index(path)
                self._seen.add(path)

    def _index(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            try:
                reader = pa.ipc.open_stream(source)
                for batch in reader:
                    for row, key in enumerate(batch.column("key").to_pylist()):
                        self._rows[key] = (batch, row)
            except (pa.ArrowInvalid, OSError):
                # The end of a killed run's file: the batches before it are whole, the cut one counts as not stored.
                return

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, keys: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
        """Store one array per key, durable against a killed process when this returns.

        Raises:
            FloatingPointError: a value does not fit the store's dtype.
        """
        with np.errstate(over="ignore"):
            stored = [np.asarray(array).astype(self.dtype) for array in arrays]
        for key, array in zip(keys, stored, strict=True):
            if not np.isfinite(array).all():
                raise FloatingPointError(f"features of clip {key[:12]} do not fit {self.dtype}")
        if self._writer is None:
            path = self.directory / f"{uuid.uuid4().hex}.arrow"
            self._seen.add(path)
            self._sink = path.open("wb")
            self._writer = pa.ipc.new_stream(self._sink, self.schema)
        offsets = np.cumsum([0] + [array.size for array in stored])
        values = pa.array(np.concatenate([array.reshape(-1) for array in stored]))
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array(list(keys), pa.string()),
                pa.array([list(array.shape) for array in stored], pa.list_(pa.int32())),
                pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values),
            ],
            schema=self.schema,
        )
        self._writer.write_batch(batch)
        self._sink.flush()
        for row, key in enumerate(keys):
            self._rows[key] = (batch, row)

    def read(self, key: str) -> np.ndarray:
        """The array stored under `key`; KeyError when there is none."""
        batch, row = self._rows[key]
        shape = batch.column("shape")[row].as_py()
        return batch.column("values")[row].values.to_numpy(zero_copy_only=True).reshape(shape)

    def close(self) -> None:
        """Close this process's file and free its memory: what it wrote is read from disk from now on."""
        if self._writer is None:
            return
        self._writer.close()
        self._sink.close()
        self._writer = None
        self._seen.clear()
        self.refresh()
