"""MTG-Jamendo instrument: 40 instruments of full tracks."""

from musicssl.probing.tasks.mtg_jamendo import tagging_task

TAGS = """
accordion acousticbassguitar acousticguitar bass beat bell bongo brass cello clarinet classicalguitar computer
doublebass drummachine drums electricguitar electricpiano flute guitar harmonica harp horn keyboard oboe orchestra
organ pad percussion piano pipeorgan rhodes sampler saxophone strings synthesizer trombone trumpet viola violin
voice
"""
LABELS = tuple(f"instrument---{tag}" for tag in TAGS.split())

TASK = tagging_task(
    name="mtg_instrument",
    title="MTG-Jamendo instrument",
    subset="instrument",
    labels=LABELS,
    counts=(14_395, 5_466, 5_115),
    hours=(934.7, 337.1, 356.6),
)
