"""MTG-Jamendo mood and theme: 56 moods and themes of full tracks."""

from musicssl.probing.tasks.mtg_jamendo import tagging_task

TAGS = """
action adventure advertising background ballad calm children christmas commercial cool corporate dark deep
documentary drama dramatic dream emotional energetic epic fast film fun funny game groovy happy heavy holiday
hopeful inspiring love meditative melancholic melodic motivational movie nature party positive powerful relaxing
retro romantic sad sexy slow soft soundscape space sport summer trailer travel upbeat uplifting
"""
LABELS = tuple(f"mood/theme---{tag}" for tag in TAGS.split())

TASK = tagging_task(
    name="mtg_moodtheme",
    title="MTG-Jamendo mood and theme",
    subset="moodtheme",
    labels=LABELS,
    counts=(9_949, 3_802, 4_231),
    hours=(611.0, 223.0, 261.1),
)
