"""NSynth instrument: eleven families of single notes; `synth_lead` has training notes only."""

from musicssl.probing.tasks.nsynth import note_task

LABELS = (
    "bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal",
)  # fmt: skip

TASK = note_task(
    name="nsynth_instrument",
    title="NSynth instrument family",
    labels=LABELS,
    label_of=lambda note: note["instrument_family_str"],
)
