"""The 13 tasks of arXiv:2307.05161, one file each, by name and in the order of its tables."""

import difflib

from musicssl.errors import UserError
from musicssl.probing.tasks import (
    emomusic,
    giantsteps_key,
    gtzan_genre,
    gtzan_rhythm,
    magnatagatune,
    mtg_genre,
    mtg_instrument,
    mtg_moodtheme,
    mtg_top50,
    nsynth_instrument,
    nsynth_pitch,
    vocalset_singer,
    vocalset_technique,
)
from musicssl.probing.tasks.base import PublishedTask

TASKS: dict[str, PublishedTask] = {
    module.TASK.name: module.TASK
    for module in (
        magnatagatune,
        giantsteps_key,
        gtzan_genre,
        gtzan_rhythm,
        emomusic,
        nsynth_instrument,
        nsynth_pitch,
        vocalset_singer,
        vocalset_technique,
        mtg_instrument,
        mtg_moodtheme,
        mtg_genre,
        mtg_top50,
    )
}


def get_task(name: str) -> PublishedTask:
    """The task called `name`; a UserError lists the available names."""
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, 2, 0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UserError(f"--tasks {name}: unknown task; {hint}available: {', '.join(TASKS)}")
    return TASKS[name]
