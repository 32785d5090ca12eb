"""Batched probing against one head at a time, and feature extraction against plain transformers batches.

    python benchmarks/probing.py [--quick] [--clips 2000] [--device cuda]

Both sides of each comparison run in one process on the same data; the ratio is what counts. One by one is the usual
torch loop (DataLoader, nn.Sequential, torch.optim.Adam, ReduceLROnPlateau, the same early stopping). It is timed on
a random part of the grid and scaled to all of it; the heads of that part are checked for equal scores.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from musicssl.probing.encoders import load_encoder
from musicssl.probing.features import ExtractionSettings, Extractor, WindowRule
from musicssl.probing.heads import MIXED, HeadSettings
from musicssl.probing.problem import Problem, Split
from musicssl.probing.tasks.base import Example
from musicssl.probing.training import train_heads

CLASSES = 10


def synthetic_problem(clips: int, states: int, width: int) -> Problem:
    """Features in which the label grows clearer towards a middle layer."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, width, generator=generator)
    clearness = 0.35 * torch.exp(-((torch.arange(states) - states // 2) ** 2) / (states / 2))
    splits = []
    for size in (int(0.7 * clips), int(0.15 * clips), int(0.15 * clips)):
        labels = torch.randint(CLASSES, (size,), generator=generator)
        features = torch.randn(size, states, width, generator=generator)
        features += clearness[None, :, None] * centres[labels][:, None]
        splits.append(Split(features.half(), labels, torch.arange(size), labels, [str(i) for i in range(size)]))
    names = tuple(map(str, range(states)))
    return Problem("multiclass", "track", CLASSES, names, tuple(range(1, states)), *splits)


def train_one(problem: Problem, head, options: HeadSettings, device: torch.device) -> float:
    """One head as a plain torch loop; returns its best validation accuracy."""
    torch.manual_seed(head.seed)
    width, mixed = problem.train.width, len(problem.mixed_states)
    model = nn.Sequential(
        nn.Linear(width, options.hidden_units), nn.ReLU(), nn.Dropout(options.dropout),
        nn.Linear(options.hidden_units, CLASSES),
    ).to(device)  # fmt: skip
    mix = nn.Parameter(torch.randn(mixed, device=device))

    def view(features: torch.Tensor) -> torch.Tensor:
        if head.layer != MIXED:
            return features
        return torch.einsum("s,bsd->bd", torch.softmax(mix, 0), features)

    def features_of(split: Split) -> torch.Tensor:
        states = split.features[:, 1:] if head.layer == MIXED else split.features[:, int(head.layer)]
        return states.float().to(device)

    data = TensorDataset(features_of(problem.train), problem.train.targets.to(device))
    batches = DataLoader(data, batch_size=options.batch_size, shuffle=True)
    validation, labels = features_of(problem.validation), problem.validation.targets.to(device)
    optimizer = torch.optim.Adam([*model.parameters(), mix], lr=head.learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.5, options.plateau_patience)
    best, best_epoch = -1.0, 0
    for epoch in range(1, options.epochs + 1):
        model.train()
        for features, targets in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(view(features)), targets).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            score = (model(view(validation)).argmax(-1) == labels).float().mean().item()
        scheduler.step(score)
        if score > best:
            best, best_epoch = score, epoch
        if epoch - best_epoch >= options.patience:
            break
    return best


def benchmark_heads(
    clips: int, states: int, width: int, options: HeadSettings, sampled: int, device: torch.device
) -> None:
    """Print the time of the grid both ways, and whether they agree."""
    problem = synthetic_problem(clips, states, width)
    started = time.perf_counter()
    trained = train_heads(problem, options, device)
    together = time.perf_counter() - started
    scores = trained.validation.tolist()
    chosen = random.Random(0).sample(range(len(trained.heads)), sampled)
    started = time.perf_counter()
    alone = [train_one(problem, trained.heads[i], options, device) for i in chosen]
    one_by_one = (time.perf_counter() - started) * len(trained.heads) / sampled
    by_layer: dict[str, list[float]] = {}
    for head, score in zip(trained.heads, scores, strict=True):
        by_layer.setdefault(head.layer, []).append(score)
    noise = np.mean([np.std(scores[i : i + len(options.seeds)]) for i in range(0, len(scores), len(options.seeds))])
    print(f"heads: {len(trained.heads)} ({states} states + sum, {len(options.learning_rates)} learning rates, "
          f"{len(options.seeds)} seeds), {clips} clips, width {width}, {device}")  # fmt: skip
    print(f"  batched      {together:8.1f} s")
    print(f"  one by one   {one_by_one:8.1f} s (from {sampled} heads)   ratio {one_by_one / together:.1f}")
    difference = np.mean(np.array(alone) - np.array([scores[i] for i in chosen]))
    print(f"  best layer {max(by_layer, key=lambda layer: max(by_layer[layer]))}; mean gap of the sampled heads "
          f"{100 * difference:+.2f} points, spread over seeds {100 * noise:.2f} points")  # fmt: skip


def benchmark_extraction(clips: int, layers: int, width: int, device: torch.device) -> None:
    """Print time per clip of our extraction and of a plain transformers loop over batches of the same files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        torch.manual_seed(0)
        config = HubertConfig(
            hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=4 * width,
            conv_dim=(width // 2,) * 7,
        )  # fmt: skip
        HubertModel(config).save_pretrained(root / "model")
        Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(root / "model")
        generator = np.random.default_rng(0)
        examples = []
        for number in range(clips):
            path = root / f"{number}.wav"
            soundfile.write(path, 0.1 * generator.standard_normal(16000 * (2 + number % 3)), 16000)
            examples.append(Example(path.name, str(path), 0, "train", path.name))
        encoder = load_encoder(str(root / "model")).to(device)

        started = time.perf_counter()
        for first in range(0, clips, 8):
            waves = [soundfile.read(example.audio, dtype="float32")[0] for example in examples[first : first + 8]]
            inputs = encoder.extractor(waves, sampling_rate=16000, padding=True, return_tensors="pt").to(device)
            with torch.no_grad():
                states = encoder.model(inputs.input_values, output_hidden_states=True).hidden_states
            torch.stack([state.mean(dim=1) for state in states], dim=1).cpu()
        plain = time.perf_counter() - started

        settings = ExtractionSettings(root / "store", batch_seconds=24.0, device=device)
        started = time.perf_counter()
        Extractor(encoder, WindowRule(), settings).extract(examples, progress=False)
        ours = time.perf_counter() - started
    print(f"extraction: {clips} clips of 2 to 4 s, {layers} layers, width {width}, {device}")
    print(f"  transformers, padded batches of 8 {1000 * plain / clips:7.1f} ms per clip")
    print(
        f"  ours, equal lengths, stored {1000 * ours / clips:7.1f} ms per clip   ratio {plain / ours:.2f}"
    )


def main() -> None:
    """Parse and run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller numbers, about a minute on two cores")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--states", type=int, default=13)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parsed = parser.parse_args()
    device = torch.device(parsed.device)
    if parsed.quick:
        options = HeadSettings(learning_rates=(1e-3, 5e-3), seeds=(0, 1), epochs=6)
        benchmark_heads(400, 4, 64, options, 4, device)
        benchmark_extraction(24, 2, 128, device)
    else:
        benchmark_heads(parsed.clips, parsed.states, parsed.width, HeadSettings(), 12, device)
        benchmark_extraction(200, 12, parsed.width, device)


if __name__ == "__main__":
    main()
