"""The ten styles of the demo composer, named after the genres that they imitate."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Style:
    """The rules of a style.

    Attributes:
        tempo_bpm: the range of tempi, in beats per minute.
        lead, harmony: the timbres to choose from.
        comping: how the chords are played: sustained, arpeggio, offbeat, strum or pulse.
        drums: the sixteenths of a bar for each drum, x loud and o soft.
        swing: the delay of the off-beat eighths, in eighths.
        minor_probability: the share of pieces in a minor key.
        density: the share of the melody's notes that are played.
    """

    tempo_bpm: tuple[float, float]
    lead: tuple[str, ...]
    harmony: tuple[str, ...]
    comping: str
    drums: dict[str, str] = field(default_factory=dict)
    swing: float = 0.0
    minor_probability: float = 0.4
    density: float = 0.6
    beats_per_bar: int = 4


_BACKBEAT = "....x.......x..."
_EIGHTHS = "x.x.x.x.x.x.x.x."
_SOFT_EIGHTHS = "x.o.x.o.x.o.x.o."

STYLES = {
    "blues": Style(
        (70, 110), ("guitar", "voice"), ("piano", "guitar"), "strum", swing=0.3, minor_probability=0.3,
        drums={"kick": "x.......x.......", "snare": _BACKBEAT, "hat": _SOFT_EIGHTHS},
    ),
    "classical": Style(
        (60, 120), ("strings", "flute", "reed"), ("strings", "piano"), "arpeggio", density=0.5, beats_per_bar=3,
    ),
    "country": Style(
        (90, 140), ("guitar", "voice", "strings"), ("guitar",), "offbeat", minor_probability=0.15,
        drums={"kick": "x.......x.......", "snare": _BACKBEAT, "hat": "..o...o...o...o."},
    ),
    "disco": Style(
        (112, 128), ("strings", "voice", "brass"), ("electric_piano", "strings"), "offbeat", minor_probability=0.5,
        drums={"kick": "x...x...x...x...", "snare": _BACKBEAT, "open_hat": "..x...x...x...x."},
    ),
    "hiphop": Style(
        (80, 100), ("synth", "voice"), ("electric_piano",), "sustained", swing=0.12, minor_probability=0.8,
        density=0.35, drums={"kick": "x.....x...x.....", "clap": _BACKBEAT, "hat": "x.x.x.xxx.x.x.xo"},
    ),
    "jazz": Style(
        (110, 180), ("reed", "brass", "piano"), ("piano", "guitar"), "strum", swing=0.33, density=0.75,
        drums={"kick": "o.......o.......", "open_hat": "o...x..oo...x..o", "hat": "....o.......o..."},
    ),
    "metal": Style(
        (130, 180), ("distorted_guitar",), ("distorted_guitar",), "pulse", minor_probability=0.9, density=0.7,
        drums={"kick": _EIGHTHS, "snare": _BACKBEAT, "open_hat": "x...x...x...x..."},
    ),
    "pop": Style(
        (95, 125), ("voice", "synth"), ("piano", "synth"), "sustained", minor_probability=0.3,
        drums={"kick": "x.....x.x.......", "snare": _BACKBEAT, "hat": _EIGHTHS},
    ),
    "reggae": Style(
        (68, 90), ("voice", "organ"), ("guitar", "organ"), "offbeat", swing=0.15, minor_probability=0.35,
        drums={"kick": "........x.......", "snare": "........x.......", "hat": _SOFT_EIGHTHS},
    ),
    "rock": Style(
        (105, 145), ("distorted_guitar", "voice"), ("guitar", "distorted_guitar"), "pulse",
        drums={"kick": "x.......x.x.....", "snare": _BACKBEAT, "hat": _EIGHTHS},
    ),
}  # fmt: skip
