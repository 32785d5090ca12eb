"""Files of features, written frame by frame, so that they never have to fit into memory.

npz:      `features` (T, D), or (T, S, D) of several layers, `times_seconds` (T,), `layers` and `settings` (JSON)
parquet:  a row per frame: `time_seconds` and, for each layer, `layer_NAME`, a list of D numbers

Shapes: T frames, S layers, D width.
"""

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from musicssl.files import whole_file

DTYPES = ("float32", "float16")


# Appends (frames, S, D) to a file, in order.
FrameWriter = Callable[[np.ndarray], None]


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
        open_writer(partial, layers, times_seconds, width, dtype, json.dumps(settings)) as write,
    ):
        yield write


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


@contextmanager
def _npz_writer(
    path: Path, layers: list[str], times_seconds: np.ndarray, width: int, dtype: str, settings: str
) -> Iterator[FrameWriter]:
    single = len(layers) == 1
    shape = (len(times_seconds), width) if single else (len(times_seconds), len(layers), width)
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    small = {"times_seconds": times_seconds, "layers": np.array(layers), "settings": np.array(settings)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
        with archive.open("features.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_2_0(stream, header)

            def write(frames: np.ndarray) -> None:
                frames = frames[:, 0] if single else frames
                stream.write(np.ascontiguousarray(frames, dtype=dtype).tobytes())

            yield write


@contextmanager
def _parquet_writer(
    path: Path, layers: list[str], times_seconds: np.ndarray, width: int, dtype: str, settings: str
) -> Iterator[FrameWriter]:
    import pyarrow
    import pyarrow.parquet

    kind = pyarrow.list_(pyarrow.from_numpy_dtype(np.dtype(dtype)), width)
    fields = [("time_seconds", pyarrow.float64()), *((f"layer_{name}", kind) for name in layers)]
    schema = pyarrow.schema(fields, metadata={"settings": settings})
    written = 0
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:

        def write(frames: np.ndarray) -> None:
            nonlocal written
            end = written + len(frames)
            columns = [pyarrow.array(times_seconds[written:end])]
            for layer in range(len(layers)):
                values = frames[:, layer].astype(dtype)
                columns.append(pyarrow.FixedSizeListArray.from_arrays(values.ravel(), type=kind))
            writer.write_table(pyarrow.table(columns, schema=schema))
            written = end

        yield write
