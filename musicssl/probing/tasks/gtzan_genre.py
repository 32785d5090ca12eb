"""GTZAN genre: ten genres on 30-second clips, fault-filtered split (Tzanetakis & Cook, 2002; Sturm, 2013)."""

from musicssl.probing.tasks.gtzan import GENRES, track_task

TASK = track_task(
    name="gtzan_genre",
    title="GTZAN genre",
    kind="multiclass",
    labels=GENRES,
    metrics=("accuracy",),
    # The genre is the first part of a track's name.
    label_reader=lambda root: lambda track: GENRES.index(track.split(".")[0]),
)
