"""mteb's own evaluation loop drives the wrapper over real notes, and gets our features."""

import csv

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from musicssl.audio.decode import load_audio
from musicssl.probing.encoders.features import ExtractionSettings, Extractor, WindowRule
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.encoders.mteb import MtebEncoder
from musicssl.probing.tasks.base import Example

RATE = 44100


def notes(folder, per_register):
    """(path, register) of low and of high notes, of several instruments."""
    with (folder / "metadata.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (int(row["pitch"]), row["file_name"]))
    for register, part in enumerate((rows[:per_register], rows[-per_register:])):
        yield from ((folder / row["file_name"], register) for row in part)


@pytest.mark.real_music
def test_mteb_scores_the_features_of_our_extraction(music_root, tiny_encoder, tmp_path):
    mteb = pytest.importorskip("mteb", reason="pip install 'music2vec-musichubert[mteb]'")
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.classification import AbsTaskClassification
    from mteb.abstasks.task_metadata import TaskMetadata

    folder = music_root / "probe" / "notes"
    clips = {split: list(notes(folder / split, count)) for split, count in (("train", 8), ("test", 5))}

    class NoteRegister(AbsTaskClassification):
        metadata = TaskMetadata(
            name="NoteRegister",
            description="Low notes and high notes",
            reference=None,
            dataset={"path": "none", "revision": "none"},
            type="AudioClassification",
            category="a2c",
            eval_splits=["test"],
            eval_langs=["zxx-Zxxx"],
            main_score="accuracy",
            date=("2000-01-01", "2000-12-31"),
            domains=["Music"],
            task_subtypes=["Music Genre Classification"],
            license="not specified",
            annotations_creators="derived",
            dialect=[],
            modalities=["audio"],
            sample_creation="found",
            bibtex_citation="",
        )
        input_column_name, label_column_name = "audio", "label"
        n_experiments = 2

        def load_data(self, **kwargs):
            # Decoded here, so that no torchcodec is needed.
            self.dataset = DatasetDict(
                {
                    split: Dataset.from_list(
                        [
                            {"audio": {"array": load_audio(path, RATE), "sampling_rate": RATE}, "label": label}
                            for path, label in examples
                        ]
                    )
                    for split, examples in clips.items()
                }
            )
            self.data_loaded = True

    given = []

    class Recorded(MtebEncoder):
        def encode(self, inputs, **kwargs):
            given.append(super().encode(inputs, **kwargs))
            return given[-1]

    model = Recorded(str(tiny_encoder), layer="1")
    result = mteb.evaluate(model, NoteRegister(), cache=None, show_progress_bar=False)
    (scores,) = result.task_results[0].scores["test"]
    assert result.model_name.startswith("local/")

    settings = ExtractionSettings(tmp_path, feature_dtype="float32")
    extractor = Extractor(load_encoder(str(tiny_encoder)), WindowRule(), settings)
    features, labels = {}, {}
    for split, split_clips in clips.items():
        examples = [Example(path.name, str(path), label, split, path.name) for path, label in split_clips]
        extractor.extract(examples, progress=False)
        features[split] = np.stack([extractor.windows(example)[0, 1] for example in examples])
        labels[split] = [label for _, label in split_clips]
    # mteb handed over 44.1 kHz, our decoder resamples the file itself.
    assert torch.allclose(given[-1], torch.from_numpy(features["test"]), atol=1e-3)
    judge = LogisticRegression(max_iter=100).fit(features["train"], labels["train"])
    accuracy = judge.score(features["test"], labels["test"])
    assert scores["accuracy"] == pytest.approx(accuracy) and accuracy > 0.6
