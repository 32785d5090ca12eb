"""Find the clips of a folder that are most similar to one clip, with FAISS, and write a page to listen to them.

Shapes: n clips, D width.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import faiss
import jinja2
import numpy as np
from tqdm import tqdm

from musicssl.audio.decode import AudioFile, BadAudio
from musicssl.audio.write import write_audio
from musicssl.errors import UserError
from musicssl.features.extract import ExtractSettings, choose_layers, extract_to_file, find_audio
from musicssl.files import write_text
from musicssl.probing.encoders.huggingface import HuggingFaceEncoder

PREVIEW_SECONDS = 10.0
PREVIEW_RATE = 22_050


@dataclass(frozen=True)
class Neighbour:
    """A clip and its cosine similarity to the query."""

    path: Path
    name: str
    score: float


def mean_features(
    encoder: HuggingFaceEncoder,
    files: list[tuple[Path, Path]],
    cache: Path,
    settings: ExtractSettings,
    progress: tqdm | None = None,
) -> tuple[np.ndarray, list[tuple[Path, Path]], list[str]]:
    """The mean features of clips: float32 (n, D), the n clips that could be read, and the errors of the others.

    Frames are kept under `cache`, so that the next query computes only the features of new clips.
    """
    means, kept, bad = [], [], []
    for file, name in files:
        target = cache / name.with_name(f"{name.name}.npz")
        try:
            extract_to_file(encoder, file, target, settings, "float16", progress)
        except BadAudio as error:
            bad.append(str(error))
            continue
        with np.load(target) as arrays:
            means.append(arrays["features"].astype(np.float32).mean(axis=0))
        kept.append((file, name))
    return np.stack(means) if means else np.empty((0, 0), np.float32), kept, bad


def nearest(query: np.ndarray, clips: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and indices, best first, of the `count` rows of (n, D) most similar to (D,) by cosine.

    The mean of the clips is subtracted first: it is common to all music and would hide the differences.
    """
    centre = clips.mean(axis=0)
    rows = np.ascontiguousarray(clips - centre, dtype=np.float32)
    wanted = np.ascontiguousarray((query - centre)[None], dtype=np.float32)
    faiss.normalize_L2(rows)
    faiss.normalize_L2(wanted)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    scores, indices = index.search(wanted, min(count, len(rows)))
    return scores[0], indices[0]


def find_similar(
    encoder: HuggingFaceEncoder,
    query: Path,
    folder: Path,
    cache: Path,
    count: int,
    settings: ExtractSettings,
    progress: tqdm | None = None,
) -> tuple[list[Neighbour], int, list[str]]:
    """The `count` clips of `folder` nearest to `query`, the number of all clips, and the errors of unreadable ones.

    Raises:
        UserError: several layers are named, no clip can be read, or the query cannot be read.
    """
    if len(choose_layers(encoder, settings.layer)) > 1:
        raise UserError(f"--layer {settings.layer}: neighbours are found with one layer; name one")
    clips, kept, bad = mean_features(encoder, find_audio([str(folder)]), cache, settings, progress)
    (query_mean, _, unreadable) = mean_features(encoder, [(query, Path(query.name))], cache / ".query", settings)
    if unreadable:
        raise UserError(unreadable[0])
    others = [index for index, (file, _) in enumerate(kept) if file.resolve() != query.resolve()]
    if not others:
        raise UserError(f"{folder}: no clip can be read, apart from the query")
    scores, indices = nearest(query_mean[0], clips[others], count)
    found = [
        Neighbour(kept[others[index]][0], str(kept[others[index]][1]), float(score))
        for score, index in zip(scores, indices, strict=True)
    ]
    return found, len(others), bad


def preview(path: Path) -> str:
    """Ten seconds from the middle of a file, as Ogg Vorbis in base64."""
    with AudioFile(path) as file:
        total = file.num_samples(PREVIEW_RATE)
        length = min(total, int(PREVIEW_SECONDS * PREVIEW_RATE))
        samples = file.read((total - length) // 2, length, PREVIEW_RATE)
    buffer = io.BytesIO()
    write_audio(buffer, np.clip(samples, -1, 1), PREVIEW_RATE, format="OGG", subtype="VORBIS")
    return base64.b64encode(buffer.getvalue()).decode()


def write_page(path: Path, query: Path, neighbours: list[Neighbour], total: int, model: str, layer: str) -> None:
    """Write one self-contained HTML file of names, scores and audio players."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    clips = [{"name": n.name, "score": n.score, "audio": preview(n.path)} for n in neighbours]
    page = environment.get_template("similar_template.html").render(
        query={"name": query.name, "audio": preview(query)}, neighbours=clips, total=total, model=model, layer=layer,
        seconds=f"{PREVIEW_SECONDS:g}",
    )  # fmt: skip
    write_text(path, page)
