"""NSynth pitch: the MIDI pitch of single notes, 128 classes."""

from musicssl.probing.tasks.nsynth import note_task

TASK = note_task(
    name="nsynth_pitch",
    title="NSynth pitch",
    # The class is the MIDI pitch (MARBLE subtracts one; any bijection scores the same).
    labels=tuple(str(midi) for midi in range(128)),
    label_of=lambda note: str(note["pitch"]),
)
