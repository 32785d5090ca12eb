"""A published tree loads with this package, with remote code, and with transformers alone: the same numbers."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
    Data2VecAudioModel,
    HubertModel,
    Wav2Vec2FeatureExtractor,
    pipeline,
)

from music2vec import Music2VecForPreTraining, Music2VecForSequenceClassification, Music2VecModel
from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.convert.convert import convert
from musicssl.errors import UserError
from musicssl.families import check_model_directory, feature_extractor_for
from musicssl.model_files import save_for_hub
from musicssl.publish.card import write_card

FAMILIES = ["music2vec", "musichubert"]
WAVEFORM = torch.sin(torch.arange(8000) ** 1.2 / 30)[None]


@pytest.fixture(scope="module")
def published(tiny_models, tmp_path_factory) -> dict:
    """The published tree of each tiny model."""
    trees = {}
    for family, model in tiny_models.items():
        trees[family] = tmp_path_factory.mktemp(family)
        save_for_hub(model, trees[family])
    return trees


@pytest.fixture(scope="module")
def spectral() -> MusicHubertForPreTraining:
    """A tiny musicHuBERT that hears spectra."""
    torch.manual_seed(0)
    config = MusicHubertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, conv_dim=[16] * 7,
        num_conv_pos_embedding_groups=4, num_conv_pos_embeddings=16, front_end_features=["logmel229", "cqt84"],
    )  # fmt: skip
    return MusicHubertForPreTraining(config).eval()


@torch.no_grad()
def features(model) -> torch.Tensor:
    return model.eval()(WAVEFORM).last_hidden_state


@pytest.mark.parametrize("family", FAMILIES)
def test_with_the_package_and_from_stock_the_features_are_bit_identical(tiny_models, published, family):
    original = tiny_models[family]
    expected = features(original.base_model)
    ours, loading = AutoModel.from_pretrained(published[family], output_loading_info=True)
    assert not any(loading.values())
    stock, loading = AutoModel.from_pretrained(published[family], subfolder="stock", output_loading_info=True)
    assert not any(loading.values())
    assert type(stock) is {"music2vec": Data2VecAudioModel, "musichubert": HubertModel}[family]
    assert torch.equal(features(ours), expected) and torch.equal(features(stock), expected)

    again = AutoModelForPreTraining.from_pretrained(published[family])
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in original.state_dict().items())


WITHOUT_THE_PACKAGE = """
import sys
for name in ("music2vec", "musichubert", "musicssl"):
    sys.modules[name] = None  # an import of it fails
import numpy, torch
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForPreTraining
waveform = torch.from_numpy(numpy.load(sys.argv[1]))
for tree in sys.argv[2:]:
    model = AutoModel.from_pretrained(tree, trust_remote_code=True).eval()
    assert "transformers_modules" in type(model).__module__, type(model)
    whole = AutoModelForPreTraining.from_pretrained(tree, trust_remote_code=True)
    assert hasattr(whole, "final_proj") or hasattr(whole, "heads")
    extractor = AutoFeatureExtractor.from_pretrained(tree, trust_remote_code=True)
    with torch.no_grad():
        numpy.save(f"{tree}/remote.npy", model(waveform).last_hidden_state.numpy())
    numpy.save(f"{tree}/input.npy", extractor(waveform[0].numpy(), sampling_rate=16000)["input_values"][0])
"""


def test_without_the_package_remote_code_gives_the_same_features(tiny_models, published, spectral, tmp_path):
    models = {**tiny_models, "spectral": spectral}
    published = {**published, "spectral": tmp_path / "spectral"}
    save_for_hub(spectral, published["spectral"])
    np.save(tmp_path / "waveform.npy", WAVEFORM.numpy())
    command = [
        sys.executable,
        "-c",
        WITHOUT_THE_PACKAGE,
        str(tmp_path / "waveform.npy"),
        *map(str, published.values()),
    ]
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": ""}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    for family, tree in published.items():
        assert np.array_equal(np.load(tree / "remote.npy"), features(models[family].base_model).numpy())
        extractor = feature_extractor_for(models[family].config)
        here = extractor(WAVEFORM[0].numpy(), sampling_rate=16000)["input_values"][0]
        assert np.array_equal(np.load(tree / "input.npy"), here)


def test_spectra_for_convolutions_have_no_stock_form(spectral, tmp_path):
    save_for_hub(spectral, tmp_path / "tree")
    assert not (tmp_path / "tree" / "stock").exists()
    write_card(tmp_path / "tree", model_id="someone/spectral")
    assert 'subfolder="stock"' not in (tmp_path / "tree" / "README.md").read_text()
    for form in ("stock", "fairseq"):
        with pytest.raises(UserError, match="front_end_features"):
            convert(tmp_path / "tree", tmp_path / f"{form}.pt", to=form)


@pytest.mark.parametrize("level", [1.0, 1e-2, 1e-3])
def test_the_feature_extractor_normalises_as_training_does(published, level):
    """One truth: `layer_norm` over the clip for music2vec, nothing for musicHuBERT, also for quiet music."""
    quiet = (level * WAVEFORM[0] + level / 3).numpy()
    ours = AutoFeatureExtractor.from_pretrained(published["music2vec"])
    normalised = ours(quiet, sampling_rate=16000, return_tensors="pt").input_values[0]
    assert torch.equal(normalised, F.layer_norm(torch.from_numpy(quiet), (len(quiet),)))

    untouched = AutoFeatureExtractor.from_pretrained(published["musichubert"])(quiet, sampling_rate=16000)
    assert np.array_equal(untouched["input_values"][0], quiet)

    # The stock class differs by its epsilon, 1e-7 for 1e-5, and by nothing else.
    stock = AutoFeatureExtractor.from_pretrained(published["music2vec"], subfolder="stock")
    assert type(stock) is Wav2Vec2FeatureExtractor
    ratio = np.sqrt((quiet.var() + 1e-7) / (quiet.var() + 1e-5))
    np.testing.assert_allclose(ratio * stock(quiet, sampling_rate=16000)["input_values"][0], normalised, atol=2e-5)


def test_the_feature_extractor_normalises_each_clip_of_a_padded_batch_alone(published):
    extractor = AutoFeatureExtractor.from_pretrained(published["music2vec"])
    clips = [WAVEFORM[0, :5000].numpy(), WAVEFORM[0].numpy()]
    batch = extractor(clips, sampling_rate=16000, padding=True, return_tensors="pt", return_attention_mask=True)
    alone = extractor(clips[0], sampling_rate=16000, return_tensors="pt").input_values[0]
    assert torch.equal(batch.input_values[0, :5000], alone) and not batch.input_values[0, 5000:].any()


def test_bf16_halves_the_encoder_and_leaves_the_teacher_alone(tiny_models, published, tmp_path):
    save_for_hub(tiny_models["music2vec"], tmp_path, torch.bfloat16)
    model = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert {p.dtype for p in model.teacher.parameters()} == {torch.float32}
    assert {p.dtype for p in model.base_model.parameters()} == {torch.bfloat16}
    stock = AutoModel.from_pretrained(tmp_path, subfolder="stock")
    assert stock.dtype == torch.bfloat16
    full = published["music2vec"] / "stock" / "model.safetensors"
    assert (tmp_path / "stock" / "model.safetensors").stat().st_size < 0.6 * full.stat().st_size
    assert tiny_models["music2vec"].dtype == torch.float32  # saving changed nothing in memory


def test_a_classifier_fine_tunes_from_the_tree_and_serves_a_pipeline(published, tmp_path):
    model = AutoModelForAudioClassification.from_pretrained(
        published["music2vec"], label2id={"calm": 0, "loud": 1}, id2label={0: "calm", 1: "loud"}
    )
    assert isinstance(model, Music2VecForSequenceClassification)
    model(WAVEFORM, labels=torch.tensor([1])).loss.backward()
    assert model.classifier.weight.grad.abs().sum() > 0

    save_for_hub(model.eval(), tmp_path)
    classify = pipeline("audio-classification", model=str(tmp_path))
    scores = classify(WAVEFORM[0].numpy(), top_k=2)
    assert {row["label"] for row in scores} == {"calm", "loud"}
    normalised = F.layer_norm(WAVEFORM, WAVEFORM.shape[-1:])
    with torch.no_grad():
        expected = model(normalised).logits.softmax(-1)[0]
    assert scores[0]["score"] == pytest.approx(float(expected.max()), abs=1e-6)


def test_saving_the_bare_encoder_gives_the_same_tree_without_the_head(tiny_models, tmp_path):
    save_for_hub(tiny_models["music2vec"].base_model, tmp_path)
    assert isinstance(AutoModel.from_pretrained(tmp_path), Music2VecModel)
    stock = AutoModel.from_pretrained(tmp_path, subfolder="stock")
    assert torch.equal(features(stock), features(tiny_models["music2vec"].base_model))


def test_a_model_of_another_family_is_refused(tmp_path):
    with pytest.raises(UserError, match="'hubert'.*musicssl convert"):
        save_for_hub(HubertModel(_small_stock_hubert()), tmp_path)


def _small_stock_hubert():
    from transformers import HubertConfig

    return HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=[8] * 7
    )


def test_broken_and_dangerous_directories_are_refused_in_one_line(published, tmp_path):
    def refusal(**files: bytes) -> str:
        for path in tmp_path.iterdir():
            path.unlink()
        for name, content in files.items():
            (tmp_path / name.replace("__", ".")).write_bytes(content)
        with pytest.raises(UserError) as caught:
            check_model_directory(tmp_path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    config = (published["music2vec"] / "config.json").read_bytes()
    weights = (published["music2vec"] / "model.safetensors").read_bytes()
    unknown = json.dumps({"model_type": "no-such-model"}).encode()
    assert "no config.json" in refusal()
    assert "no-such-model" in refusal(config__json=unknown, model__safetensors=weights)
    pickled = refusal(config__json=config, pytorch_model__bin=b"\x80\x02.")
    assert "pytorch_model.bin" in pickled and "musicssl convert" in pickled
    assert "damaged" in refusal(config__json=config, model__safetensors=weights[: len(weights) // 2])
    assert "damaged" in refusal(config__json=config, model__safetensors=weights[:100])
    check_model_directory(published["music2vec"])


def test_continuing_training_from_a_published_tree_needs_no_download(published):
    model = Music2VecForPreTraining.from_pretrained(published["music2vec"])
    model.update_teacher(1)
    loss = model(WAVEFORM, mask_time_indices=torch.arange(24)[None] % 2 == 0).loss
    assert torch.isfinite(loss)
