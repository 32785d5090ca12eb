"""VocalSet singer: who of 20 sings, in 3-second chunks of all 17 techniques."""

from musicssl.probing.tasks.vocalset import SINGERS, Recording, chunk_task, hash_fraction


def split_of(recording: Recording) -> str:
    """Recordings about 48:32:20; every singer is in all three."""
    fraction = hash_fraction(recording.name)
    return "test" if fraction < 0.2 else "validation" if fraction < 0.52 else "train"


TASK = chunk_task(
    name="vocalset_singer",
    title="VocalSet singer",
    labels=SINGERS,
    label_of=lambda recording: recording.singer,
    split_of=split_of,
    minimum_tracks=2_000,
    patience=20,
)
