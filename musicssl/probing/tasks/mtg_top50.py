"""MTG-Jamendo top 50: the most frequent tags (31 genres, 14 instruments, 5 moods) of full tracks."""

from musicssl.probing.tasks.mtg_jamendo import tagging_task

TAGS = {
    "genre": """
    alternative ambient atmospheric chillout classical dance downtempo easylistening electronic
    experimental folk funk hiphop house indie instrumentalpop jazz lounge metal newage orchestral pop
    popfolk poprock reggae rock soundtrack techno trance triphop world
    """,
    "instrument": """
    acousticguitar bass computer drummachine drums electricguitar electricpiano guitar keyboard piano
    strings synthesizer violin voice
    """,
    "mood/theme": """
    emotional energetic film happy relaxing
    """,
}
LABELS = tuple(f"{category}---{tag}" for category, tags in TAGS.items() for tag in tags.split())

TASK = tagging_task(
    name="mtg_top50",
    title="MTG-Jamendo top 50",
    subset="top50tags",
    labels=LABELS,
    counts=(32_136, 10_888, 11_356),
    hours=(2183.8, 703.6, 801.0),
)
