"""Small synthetic sets in the layouts in which the data sets of the 13 tasks are distributed, flaws included."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from musicssl.demo.parts import write_part
from study.archives import emomusic, giantsteps, gtzan, magnatagatune, mtg_jamendo, nsynth, vocalset

# Folder below `--data_root` -> what writes it, given the folder, a seed and a multiple of its smallest size.
ARCHIVES = {
    "magnatagatune": magnatagatune.write,
    "giantsteps": giantsteps.write,
    "gtzan": gtzan.write,
    "emomusic": emomusic.write,
    "nsynth": nsynth.write,
    "vocalset": vocalset.write,
    "mtg_jamendo": mtg_jamendo.write,
}


def write_archives(folder: Path, names: Iterable[str] = ARCHIVES, seed: int = 0, size: int = 1) -> None:
    """Write each data set below `folder`, with `size` times the clips of the smallest set.

    Raises:
        UserError: the folder holds a set of another seed or size.
    """
    settings = {"seed": seed, "size": size}
    for name in names:
        write_part(folder, name, settings, partial(ARCHIVES[name], **settings))
