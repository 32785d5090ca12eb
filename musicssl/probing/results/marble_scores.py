"""Published test scores, in %, to compare with: only numbers that were read in their source.

MARBLE's tables 3 and 4, constrained track: a frozen backbone and the protocol that `run_probing.py` follows.
"""

SOURCE = "MARBLE (arXiv:2306.10548v2), tables 3 and 4, constrained track"

_COLUMNS = (
    ("magnatagatune", "roc_auc"),
    ("magnatagatune", "average_precision"),
    ("giantsteps_key", "key_score"),
    ("gtzan_genre", "accuracy"),
    ("gtzan_rhythm", "beat_f1_70ms_micro"),
    ("emomusic", "r2_valence"),
    ("emomusic", "r2_arousal"),
    ("nsynth_instrument", "accuracy"),
    ("nsynth_pitch", "accuracy"),
    ("vocalset_technique", "accuracy"),
    ("vocalset_singer", "accuracy"),
    ("mtg_instrument", "roc_auc"),
    ("mtg_instrument", "average_precision"),
    ("mtg_moodtheme", "roc_auc"),
    ("mtg_moodtheme", "average_precision"),
    ("mtg_genre", "roc_auc"),
    ("mtg_genre", "average_precision"),
    ("mtg_top50", "roc_auc"),
    ("mtg_top50", "average_precision"),
)
_ROWS = {
    "MusiCNN": "90.3 37.8 14.4 73.5 – 44.4 68.8 72.6 64.1 70.3 57.0 74.0 17.2 74.0 12.6 86.0 17.5 82.0 27.5",
    "MULE": "91.2 40.1 64.9 75.5 – 60.7 73.1 74.6 88.5 75.5 87.5 76.6 19.2 78.0 15.4 88.0 20.4 83.7 30.6",
    "music2vec-v1": "90.0 36.2 50.6 74.1 68.2 52.1 71.0 69.3 93.1 71.1 81.4 76.1 19.2 76.7 14.3 87.1 18.8 83.0 29.2",
    "MERT-v0": "90.7 38.2 64.1 74.8 88.3 52.9 69.9 70.4 92.3 73.6 77.0 76.6 18.7 75.9 13.7 86.9 18.5 82.8 28.8",
    "MERT-v1-95M": "91.0 39.3 63.5 74.8 88.3 55.5 76.3 70.7 92.6 74.2 83.7 77.5 19.4 76.4 13.4 87.1 18.8 83.0 29.0",
    "MERT-v1-330M": "91.1 39.5 61.7 77.6 87.9 59.0 75.8 72.6 94.4 76.9 87.1 78.1 19.8 76.5 14.0 86.7 18.6 83.4 29.9",
    "previous best": "92.0 41.4 74.3 83.5 80.6 61.7 72.1 78.2 89.2 65.6 80.3 78.8 20.2 78.6 16.1 87.7 20.3 84.3 32.1",
}

# task -> {"metrics": (...), "rows": {system: {metric: text}}}
PUBLISHED: dict[str, dict] = {}
for _system, _scores in _ROWS.items():
    for (_task, _metric), _score in zip(_COLUMNS, _scores.split(), strict=True):
        _entry = PUBLISHED.setdefault(_task, {"metrics": (), "rows": {}})
        _entry["metrics"] = tuple(dict.fromkeys((*_entry["metrics"], _metric)))
        _entry["rows"].setdefault(_system, {})[_metric] = _score
