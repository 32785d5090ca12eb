"""Draw docs/figures/overview.svg: python docs/draw_overview.py

Text stands inside filled boxes and arrows are a middle grey, so that one file is legible on light and on dark pages.
It names only fonts of the reader's system: an SVG inside an image element loads nothing else.
"""

import math
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parent / "figures" / "overview.svg"
WIDTH, HEIGHT = 800, 384
GREY, BLUE, ORANGE, GREEN, LINE = "#56606e", "#3a6cb0", "#b05a26", "#2c7a58", "#818b98"
TASKS = (
    ("tags", "MagnaTagATune, MTG-Jamendo"),
    ("genre", "GTZAN, MTG-Jamendo"),
    ("mood, theme", "MTG-Jamendo"),
    ("emotion", "Emomusic"),
    ("key", "GiantSteps"),
    ("beats", "GTZAN-Rhythm"),
    ("instrument", "NSynth, MTG-Jamendo"),
    ("pitch", "NSynth"),
    ("singer", "VocalSet"),
    ("vocal technique", "VocalSet"),
)
MASKED = (3, 4, 5, 8, 9)


def box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}"/>'


def text(x: float, y: float, content: str, size: int = 13, bold: bool = False, anchor: str = "middle") -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"{weight}>{escape(content)}</text>'


def arrow(*points: tuple[float, float]) -> str:
    """A line through the points with a head at its end."""
    path = " L".join(f"{x} {y}" for x, y in points)
    return f'<path d="M{path}" fill="none" stroke="{LINE}" stroke-width="2.5" marker-end="url(#head)"/>'


def waveform(x: float, y: float, width: float, height: float) -> str:
    """Bars of a decaying, beating sound around the line y."""
    bars = []
    for i in range(24):
        loudness = abs(math.sin(0.55 * i) * math.cos(0.17 * i + 0.4)) * 0.85 + 0.15
        left, half = x + i * width / 24, loudness * height / 2
        bars.append(f"M{left:.1f} {y - half:.1f}V{y + half:.1f}")
    return f'<path d="{"".join(bars)}" stroke="#fff" stroke-width="2" stroke-linecap="round"/>'


def frames(x: float, y: float, width: float) -> str:
    """Twelve frames; the masked ones are empty."""
    step = width / 12
    cells = []
    for i in range(12):
        look = 'fill="none" stroke-dasharray="2 2"' if i in MASKED else 'fill="#fff"'
        left, width_of_cell = x + i * step + 1.5, step - 3
        cells.append(
            f'<rect x="{left:.1f}" y="{y}" width="{width_of_cell:.1f}" height="30" rx="2" stroke="#fff" {look}/>'
        )
    return "".join(cells)


def layers(x: float, y: float, width: float) -> str:
    """Five bars, one above the other."""
    return "".join(
        f'<rect x="{x}" y="{y + 11 * i}" width="{width}" height="7" rx="3" fill="#fff" opacity="{1 - 0.13 * i:.2f}"/>'
        for i in range(5)
    )


def task_list(x: float, y: float) -> str:
    lines = [text(x + 99, y + 24, "13 MIR tasks", 15, bold=True)]
    lines += [text(x + 99, y + 42, "a small head per frozen layer", 12)]
    for i, (task, data) in enumerate(TASKS):
        top = y + 69 + i * 31.5
        lines += [text(x + 12, top, task, 13, bold=True, anchor="start")]
        lines += [text(x + 12, top + 13, data, 11, anchor="start")]
    return "".join(lines)


def draw() -> str:
    """The picture as SVG."""
    parts = [
        # music2vec's way, above; musicHuBERT's, below.
        arrow((68, 136), (68, 59), (146, 59)),
        arrow((457, 94), (457, 130)),
        arrow((68, 248), (68, 325), (146, 325)),
        arrow((457, 290), (457, 254)),
        arrow((128, 192), (146, 192)),
        arrow((350, 192), (368, 192)),
        arrow((546, 192), (576, 192)),
        box(8, 136, 120, 112, GREY), waveform(22, 176, 96, 56), text(68, 235, "audio, 16 kHz"),
        box(152, 136, 198, 112, GREY), frames(162, 160, 178),
        text(251, 215, "50 frames a second,"), text(251, 233, "spans of them masked"),
        box(374, 136, 172, 112, GREY), layers(394, 149, 132), text(460, 224, "transformer layers"),
        box(152, 26, 394, 68, BLUE), text(349, 49, "music2vec: teacher", 15, bold=True),
        text(349, 68, "the model's moving average sees all frames;"),
        text(349, 85, "predict its features at the masked frames"),
        box(152, 290, 394, 68, ORANGE), text(349, 313, "musicHuBERT: clusters", 15, bold=True),
        text(349, 332, "k-means of MFCC, chroma, constant-Q or a layer;"),
        text(349, 349, "predict the cluster of each masked frame"),
        box(582, 4, 210, 376, GREEN), task_list(588, 4),
    ]  # fmt: skip
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"
 font-family="system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif" fill="#fff">
<title>From audio to 13 tasks: frames are masked; music2vec predicts a teacher's features of them, musicHuBERT their
clusters; small heads then measure what each frozen layer knows</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="4.5" markerHeight="4.5" orient="auto">
<path d="M0 0L8 4L0 8Z" fill="{LINE}"/></marker></defs>
{body}
</svg>
"""


if __name__ == "__main__":
    PICTURE.write_text(draw())
