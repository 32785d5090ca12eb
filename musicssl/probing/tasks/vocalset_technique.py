"""VocalSet technique: ten of the 17 ways of singing, by unseen singers, in 3-second chunks."""

from musicssl.probing.tasks.vocalset import Recording, chunk_task, hash_fraction

LABELS = (
    "belt", "breathy", "inhaled", "lip_trill", "spoken", "straight", "trill", "trillo", "vibrato", "vocal_fry",
)  # fmt: skip
TEST_SINGERS = ("f2", "f8", "m3", "m5", "m10")


def split_of(recording: Recording) -> str:
    """Five singers are the test (Wilkins et al.); the others' recordings are split 60:40, as MARBLE v1's code does."""
    if recording.singer in TEST_SINGERS:
        return "test"
    return "validation" if hash_fraction(recording.name) < 0.4 else "train"


TASK = chunk_task(
    name="vocalset_technique",
    title="VocalSet technique",
    labels=LABELS,
    label_of=lambda recording: recording.technique,
    split_of=split_of,
    minimum_tracks=1_000,
    patience=10,
)
