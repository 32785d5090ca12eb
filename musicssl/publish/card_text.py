"""What all model cards share: the texts that do not depend on a run, and the templates."""

from pathlib import Path

import jinja2

CITATION = """@inproceedings{ma2023effectiveness,
  title     = {On the Effectiveness of Speech Self-Supervised Learning for Music},
  author    = {Ma, Yinghao and Yuan, Ruibin and others},
  booktitle = {Proceedings of the International Society for Music Information Retrieval Conference},
  year      = {2023},
  note      = {arXiv:2307.05161}
}"""
SUMMARIES = {
    "music2vec": "A music2vec encoder: data2vec pre-training on music. It learns without labels, by predicting a"
    " moving-average teacher's features at the masked frames.",
    "musichubert": "A musicHuBERT encoder: HuBERT pre-training on music. It learns without labels, by predicting the"
    " k-means cluster of each masked frame.",
}
STOCK_TYPES = {"music2vec": "data2vec-audio", "musichubert": "hubert"}
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True,
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
)  # fmt: skip
