"""Files of features, written frame by frame, so that they never have to fit into memory.

npz:      `features` (T, D), or (T, S, D) of several layers, `times_seconds` (T,), `layers` and `settings` (JSON)
parquet:  a row per frame: `time_seconds` and, for each layer, `layer_NAME`, a list of D numbers

Shapes: T frames, S layers, D width.
"""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from musicssl.files import whole_file

DTYPES = ("float32", "float16")


class FrameWriter(Protocol):
    """Takes the frames of one file, in order."""

    def write(self, frames: np.ndarray) -> None:
        """Append (frames, S, D)."""


@contextmanager
def frame_writer(
    path: Path, layers: list[str], times_seconds: np.ndarray, width: int, dtype: str, settings: dict
) -> Iterator[FrameWriter]:
    """Open a writer of `path` (.npz or .parquet); the file appears under its name when it is complete.

    Args:
        times_seconds: the middle of each frame's samples, (T,).
        settings: everything the features depend on; kept in the file for `read_settings`.
    """
    open_writer = {".npz": _npz_writer, ".parquet": _parquet_writer}[path.suffix]
    with (
        whole_file(path, shared=True) as partial,
        open_writer(partial, layers, times_seconds, width, dtype, settings) as writer,
    ):
        yield writer


def read_settings(path: Path) -> dict | None:
    """The settings that a file was written with; None when it is missing or is another kind of file."""
    try:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return json.loads(str(arrays["settings"]))
        import pyarrow.parquet

        return json.loads(pyarrow.parquet.read_schema(path).metadata[b"settings"])
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return None


class _NpzFrames:
    def __init__(self, stream, single: bool, dtype: str):
        self.stream, self.single, self.dtype = stream, single, dtype

    def write(self, frames: np.ndarray) -> None:
        frames = frames[:, 0] if self.single else frames
        self.stream.write(np.ascontiguousarray(frames, dtype=self.dtype).tobytes())


@contextmanager
def _npz_writer(path, layers, times_seconds, width, dtype, settings) -> Iterator[_NpzFrames]:
    single = len(layers) == 1
    shape = (len(times_seconds), width) if single else (len(times_seconds), len(layers), width)
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    small = {"times_seconds": times_seconds, "layers": np.array(layers), "settings": np.array(json.dumps(settings))}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
        with archive.open("features.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_2_0(stream, header)
            yield _NpzFrames(stream, single, dtype)


class _ParquetFrames:
    def __init__(self, writer, schema, times_seconds: np.ndarray):
        self.writer, self.schema, self.times_seconds, self.written = writer, schema, times_seconds, 0

    def write(self, frames: np.ndarray) -> None:
        import pyarrow

        end = self.written + len(frames)
        columns = [pyarrow.array(self.times_seconds[self.written : end])]
        for layer, field in enumerate(list(self.schema)[1:]):
            values = frames[:, layer].astype(field.type.value_type.to_pandas_dtype())
            columns.append(pyarrow.FixedSizeListArray.from_arrays(values.ravel(), type=field.type))
        self.writer.write_table(pyarrow.table(columns, schema=self.schema))
        self.written = end


@contextmanager
def _parquet_writer(path, layers, times_seconds, width, dtype, settings) -> Iterator[_ParquetFrames]:
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.list_(pyarrow.from_numpy_dtype(np.dtype(dtype)), width)
    fields = [("time_seconds", pyarrow.float64()), *((f"layer_{name}", kind) for name in layers)]
    schema = pyarrow.schema(fields, metadata={"settings": json.dumps(settings)})
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        yield _ParquetFrames(writer, schema, times_seconds)
