"""What both models promise alike: sizes, Auto classes, saving, hidden states, checkpointing, compilation."""

import ast
import logging
import sys

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
    Data2VecAudioModel,
    HubertModel,
    Wav2Vec2FeatureExtractor,
)

import music2vec
import musichubert
from musicssl.families import FAMILIES

TINY = {
    "conv_dim": [16] * 7,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}
STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0, "layerdrop": 0.0}
BATCH, SAMPLES, FRAMES = 2, 8000, 24


def make_music2vec(**settings):
    config = music2vec.Music2VecConfig(**TINY, average_top_k_layers=2, **settings)
    model = music2vec.Music2VecForPreTraining(config)
    model.update_teacher(0)
    return model


def make_musichubert(**settings):
    settings = {"num_clusters": [11, 7], "projection_dim": 8, "auxiliary_dim": 5, **settings}
    return musichubert.MusicHubertForPreTraining(musichubert.MusicHubertConfig(**TINY, **settings))


def make_inputs(model) -> dict:
    inputs = {
        "input_values": torch.randn(BATCH, SAMPLES),
        "mask_time_indices": torch.arange(FRAMES).expand(BATCH, -1) % 3 == 0,
    }
    if isinstance(model, musichubert.MusicHubertForPreTraining):
        inputs["labels"] = torch.randint(0, 7, (BATCH, 2, FRAMES))
        inputs["auxiliary_targets"] = torch.randn(BATCH, FRAMES, 5)
    return inputs


both_models = pytest.mark.parametrize("make_model", [make_music2vec, make_musichubert])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("model_class", "config_class", "parameters"),
    [
        (music2vec.Music2VecModel, music2vec.Music2VecConfig, 93_164_288),
        (musichubert.MusicHubertModel, musichubert.MusicHubertConfig, 94_371_712),
    ],
)
def test_default_encoders_have_the_size_of_the_references(model_class, config_class, parameters):
    with torch.device("meta"):
        model = model_class(config_class())
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@both_models
def test_saving_and_loading_keeps_every_bit(make_model, tmp_path, caplog):
    model = make_model()
    model.save_pretrained(tmp_path)
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        loaded = AutoModelForPreTraining.from_pretrained(tmp_path)
        encoder = AutoModel.from_pretrained(tmp_path)
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not caplog.records, "loading must not warn"

    assert type(loaded) is type(model)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(model.base_model.state_dict()[name], t) for name, t in encoder.state_dict().items())
    assert loaded.config.to_dict() == AutoConfig.from_pretrained(tmp_path).to_dict()


@both_models
def test_classifier_and_feature_extractor_load_through_the_auto_classes(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    classifier = AutoModelForAudioClassification.from_pretrained(tmp_path, num_labels=3)
    assert classifier(torch.randn(BATCH, SAMPLES)).logits.shape == (BATCH, 3)
    weights = model.base_model.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in classifier.base_model.state_dict().items())
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert isinstance(extractor, Wav2Vec2FeatureExtractor) and not extractor.do_normalize


@pytest.mark.parametrize(
    ("make_model", "stock_class"), [(make_music2vec, Data2VecAudioModel), (make_musichubert, HubertModel)]
)
def test_encoder_and_pre_training_path_equal_the_stock_model(make_model, stock_class):
    model = make_model().eval()
    stock = stock_class(model.config).eval()
    stock.load_state_dict(model.base_model.state_dict())
    inputs = make_inputs(model)
    waveform, mask = inputs["input_values"], inputs["mask_time_indices"]
    with torch.no_grad():
        expected = stock(waveform, mask_time_indices=mask, output_hidden_states=True)
        ours = model.base_model(waveform, mask_time_indices=mask, output_hidden_states=True)
        trained = model(**inputs, output_hidden_states=True)
    assert len(expected.hidden_states) == model.config.num_hidden_layers + 1
    for other in (ours, trained):
        for layer, expected_layer in zip(other.hidden_states, expected.hidden_states, strict=True):
            torch.testing.assert_close(layer, expected_layer, rtol=0, atol=0)


@both_models
def test_loss_is_differentiable_in_every_trainable_parameter(make_model):
    model = make_model(layerdrop=0.0).train()
    output = model(**make_inputs(model))
    torch.testing.assert_close(output.loss, output.loss_sum / output.num_masked_frames)
    output.loss.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@both_models
def test_gradient_checkpointing_changes_no_gradient(make_model):
    model = make_model(**STILL).train()
    inputs = make_inputs(model)
    gradients = []
    for checkpointing in (False, True):
        model.zero_grad()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**inputs).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.requires_grad])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@both_models
def test_loss_of_a_batch_is_the_sum_over_its_parts(make_model):
    """What a distributed loop relies on: sums over unequal parts, divided by all masked frames."""
    model = make_model(**STILL, **({"feature_penalty_weight": 0.0} if make_model is make_musichubert else {}))
    inputs = make_inputs(model)
    inputs["mask_time_indices"] = torch.rand(BATCH, FRAMES) < torch.tensor([[0.3], [0.7]])
    whole = model(**inputs)
    parts = [model(**{name: value[clip : clip + 1] for name, value in inputs.items()}) for clip in range(BATCH)]
    assert parts[0].num_masked_frames != parts[1].num_masked_frames
    torch.testing.assert_close(sum(part.loss_sum for part in parts), whole.loss_sum)
    assert sum(part.num_masked_frames for part in parts) == whole.num_masked_frames


@both_models
def test_compiled_graph_breaks_only_before_the_network(make_model):
    """One break for the masked frames' indices; the layer loop and the loss are one graph."""
    model = make_model(**STILL).train()
    torch._dynamo.reset()
    explanation = torch._dynamo.explain(model)(**make_inputs(model))
    assert explanation.graph_break_count <= 1, explanation.break_reasons
    torch._dynamo.reset()


@both_models
def test_a_new_number_of_masked_frames_is_not_compiled_anew(make_model):
    """Spans overlap by chance, so nearly every batch has another; dynamo gives up at the eighth graph."""
    model = make_model(**STILL).train()
    torch._dynamo.reset()
    counter = CompileCounter()
    model.compile(backend=counter)
    compilations = []
    for num_masked in (6, 9, 13, 17, 21):
        inputs = make_inputs(model)
        inputs["mask_time_indices"] = torch.arange(FRAMES).expand(BATCH, -1) < num_masked
        assert model(**inputs).num_masked_frames == BATCH * num_masked
        compilations.append(counter.frame_count)
    torch._dynamo.reset()
    assert len(set(compilations[1:])) == 1, compilations


@both_models
def test_bfloat16_autocast_stays_close(make_model):
    model = make_model(**STILL)
    inputs = make_inputs(model)
    full = model(**inputs).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(**inputs).loss
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.03, atol=0)


@pytest.mark.parametrize("package", ["music2vec", "musichubert"])
def test_files_for_the_hub_import_only_what_the_hub_has(package):
    allowed = {"torch", "transformers", "numpy", *sys.stdlib_module_names}
    files = FAMILIES[package].code_files
    shipped = {path.stem for path in files}
    assert {f"configuration_{package}", f"modeling_{package}"} <= shipped
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] in allowed
            elif isinstance(node, ast.ImportFrom):
                assert node.module in shipped
            elif isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed


@both_models
def test_initialisation_is_the_references(make_model):
    model = make_model()
    projection = model.base_model.feature_projection.projection
    assert uniform_within(projection.weight, 1 / 4)  # sqrt(16 inputs)
    attention = model.base_model.encoder.layers[0].attention.q_proj
    assert attention.weight.std().item() == pytest.approx(0.02, rel=0.1) and not attention.bias.any()
    assert model.base_model.masked_spec_embed.min() >= 0 and model.base_model.masked_spec_embed.max() <= 1


def uniform_within(tensor: nn.Parameter, bound: float) -> bool:
    """Whether values look uniform within +-bound: none outside, and the spread of the uniform law."""
    return tensor.abs().max() <= bound and tensor.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
