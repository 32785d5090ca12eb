"""Features of a frozen encoder, beside a plain loop over clips with transformers, on the same clips.

    python benchmarks/features.py [--clips 8] [--seconds 5] [--layer 6] [--threads N] [--quick] [--output FILE]

`hf` calls the feature extractor and the whole model clip by clip with `output_hidden_states=True`. `pooled` is the
computation of probing: every layer's mean over time, for a batch of equal windows at a time. `one layer` is the
computation of second-iteration labels: all frames of one layer, without the layers above it. The encoder is HuBERT
base with random weights.
"""

import copy
from dataclasses import asdict

import torch
from side_by_side import benchmark_parser, report, side_by_side
from training_step import SIZES
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from musicssl.labels.layer_features import LayerFeatures
from musicssl.probing.encoders.huggingface import HuggingFaceEncoder

RATE = 16000


def compare(size: str, clips: int, seconds: float, layer: int, repeats: int) -> list[dict[str, object]]:
    """One row per candidate; raises AssertionError when two candidates give different features."""
    torch.manual_seed(0)
    model = HubertModel(HubertConfig(**SIZES[size], apply_spec_augment=False)).eval()
    extractor = Wav2Vec2FeatureExtractor(do_normalize=False, sampling_rate=RATE)
    encoder = HuggingFaceEncoder("hubert", model, extractor, torch.float32)
    layer_features = LayerFeatures(copy.deepcopy(model), layer, False, "random weights", "")
    waveforms = torch.randn(clips, round(seconds * RATE))

    @torch.no_grad()
    def plain() -> list[tuple[torch.Tensor, ...]]:
        """Hidden states of each clip."""
        prepared = (extractor(clip.numpy(), sampling_rate=RATE, return_tensors="pt") for clip in waveforms)
        return [model(**inputs, output_hidden_states=True).hidden_states for inputs in prepared]

    expected = torch.cat([states[layer] for states in plain()])
    torch.testing.assert_close(layer_features.compute(waveforms), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(encoder.pooled(waveforms)[:, layer], expected.mean(1), rtol=1e-3, atol=1e-4)
    candidates = {
        "hf": plain,
        "pooled": lambda: encoder.pooled(waveforms),
        "one layer": lambda: layer_features.compute(waveforms),
    }
    return [
        {**asdict(timing), "audio_seconds_per_second": clips * seconds / timing.median_seconds}
        for timing in side_by_side(candidates, "hf", repeats)
    ]


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "features")
    parser.add_argument("--clips", type=int, default=8, help="number of clips")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip")
    parser.add_argument("--layer", type=int, default=6, help="layer to compute")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each candidate")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size = "base"
    if arguments.quick:
        size, arguments.clips, arguments.seconds, arguments.layer, arguments.repeats = "tiny", 2, 1.0, 2, 1
    rows = compare(size, arguments.clips, arguments.seconds, arguments.layer, arguments.repeats)
    report(arguments.output, "features", rows)


if __name__ == "__main__":
    main()
