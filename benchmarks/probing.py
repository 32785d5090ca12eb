"""All probing heads at once against one at a time, and feature extraction against plain transformers batches.

    python benchmarks/probing.py [--clips 2000] [--epochs 100] [--device cuda] [--threads N] [--quick] [--output FILE]

One at a time is the loop a user would write: DataLoader, nn.Sequential, torch.optim.Adam, ReduceLROnPlateau, the same
early stopping. It trains one head per layer, at the learning rate chosen for that layer, and its time per epoch is
multiplied by the epochs that the heads of the whole grid ran. `arithmetic` is what the products alone take at the
speed this machine multiplies matrices of that size: no arrangement of the same heads can be faster.
"""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from side_by_side import benchmark_parser, table, write_json
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from musicssl.probing.encoders.features import ExtractionSettings, Extractor, WindowRule
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.heads import training
from musicssl.probing.heads.head_data import Problem, Split
from musicssl.probing.heads.heads import MIXED, Head, HeadSettings, HeadStack, TrainedHeads
from musicssl.probing.kinds import get_kind
from musicssl.probing.protocol import layer_scores
from musicssl.probing.tasks.base import Example

CLASSES = 10
COLUMNS = ("name", "time", "processor_time", "times_faster", "times_faster_on_processor")  # of the JSON file


class Clock:
    """Seconds that passed and seconds that the processor worked: the latter also hold on a busy machine."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.wall, self.cpu = device, 0.0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time of the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu

    def times(self, factor: float) -> "Clock":
        """The same work `factor` times."""
        other = Clock(self.device)
        other.wall, other.cpu = factor * self.wall, factor * self.cpu
        return other


def synthetic_problem(clips: int, states: int, width: int) -> Problem:
    """Features in which the label grows clearer towards a middle layer."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, width, generator=generator)
    clearness = 0.12 * torch.exp(-((torch.arange(states) - states // 2) ** 2) / (states / 2))
    splits = []
    for size in (int(0.7 * clips), int(0.15 * clips), int(0.15 * clips)):
        labels = torch.randint(CLASSES, (size,), generator=generator)
        features = torch.randn(size, states, width, generator=generator)
        features += clearness[None, :, None] * centres[labels][:, None]
        splits.append(Split(features.half(), labels, torch.arange(size), labels, [str(i) for i in range(size)]))
    names = tuple(map(str, range(states)))
    labels = [str(label) for label in range(CLASSES)]
    return Problem(get_kind("multiclass"), "track", labels, names, tuple(range(1, states)), *splits)


def train_one(problem: Problem, head: Head, options: HeadSettings, device: torch.device) -> tuple[float, int]:
    """One head as a plain torch loop; returns its best validation accuracy and the epochs it ran."""
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
    return best, epoch


@contextmanager
def timed_parts(device: torch.device) -> Iterator[dict[str, Clock]]:
    """Clocks around what `train_heads` calls: Adam, and the judging of an epoch; the rest is the two passes."""
    clocks = {"Adam": Clock(device), "validation": Clock(device)}
    originals = training.adam_step, HeadStack.outputs

    def around(clock: Clock, function):
        def timed(*arguments):
            with clock.running():
                return function(*arguments)

        return timed

    training.adam_step = around(clocks["Adam"], originals[0])
    HeadStack.outputs = around(clocks["validation"], originals[1])
    try:
        yield clocks
    finally:
        training.adam_step, HeadStack.outputs = originals


def product_seconds(width: int, units: int, batch: int, device: torch.device, repeats: int = 200) -> float:
    """Seconds of one (batch, width) x (width, units) product at its fastest, one after the other in the cache."""
    a, b = torch.randn(batch, width, device=device), torch.randn(width, units, device=device)
    fastest = math.inf
    for _ in range(5):
        clock = Clock(device)
        with clock.running():
            for _ in range(repeats):
                a @ b
        fastest = min(fastest, clock.wall / repeats)
    return fastest


def products(trained: TrainedHeads, epochs: list[int], problem: Problem, options: HeadSettings) -> float:
    """How many first-layer products, of one batch, the grid needs: forward, weights' and mixed inputs' gradients."""
    of_training = math.ceil(len(problem.train) / options.batch_size)
    of_validation = len(problem.validation) / options.batch_size
    each = ((3 if head.layer == MIXED else 2) * of_training + of_validation for head in trained.heads)
    return sum(count * ran for count, ran in zip(each, epochs, strict=True))


def benchmark_heads(
    clips: int, states: int, width: int, options: HeadSettings, device: torch.device
) -> list[dict[str, object]]:
    """Print the time of the grid both ways, where it goes, its bound, and whether the two agree."""
    problem = synthetic_problem(clips, states, width)
    ran: list[int] = []  # heads in training, epoch by epoch
    together = Clock(device)
    with timed_parts(device) as parts, together.running():
        trained = training.train_heads(problem, options, device, on_epoch=lambda epoch, running: ran.append(running))
    epochs = [min(int(best) + options.patience, len(ran)) for best in trained.best_epoch]

    layers = layer_scores(trained)
    chosen = [Head(name, layer["learning_rate"], options.seeds[0]) for name, layer in layers.items()]
    alone, alone_epochs, scores = Clock(device), 0, {}
    for head in chosen:
        with alone.running():
            scores[head.layer], head_epochs = train_one(problem, head, options, device)
        alone_epochs += head_epochs
    one_by_one = alone.times(sum(epochs) / alone_epochs)
    bound = product_seconds(width, options.hidden_units, options.batch_size, device) * products(
        trained, epochs, problem, options
    )

    best, alone_best = max(layers, key=lambda name: layers[name]["validation"]), max(scores, key=scores.get)
    noise = np.mean([np.std(layer["seeds"]) for layer in layers.values()])
    gap = np.mean([scores[name] - layer["validation"] for name, layer in layers.items()])
    print(f"heads: {len(trained.heads)} ({states} states and their sum, {len(options.learning_rates)} learning rates, "
          f"{len(options.seeds)} seeds), {clips} clips, width {width}, {device}; "
          f"{sum(epochs)} epochs of heads")  # fmt: skip
    passes = together.wall - sum(clock.wall for clock in parts.values())
    rows = [
        ["one by one", one_by_one.wall, one_by_one.cpu, 1.0, 1.0],
        ["all at once", together.wall, together.cpu, one_by_one.wall / together.wall, one_by_one.cpu / together.cpu],
        ["arithmetic", bound, "", one_by_one.wall / bound, ""],
    ]
    print(table(["", "seconds", "processor seconds", "times faster", "in processor seconds"], rows))
    shares = {"forward and backward": passes} | {name: clock.wall for name, clock in parts.items()}
    print(
        "all at once spends " + ", ".join(f"{100 * s / together.wall:.0f} % in {name}" for name, s in shares.items())
    )
    print(f"one by one measured on {len(chosen)} heads ({alone_epochs} epochs); best layer {best}, one by one "
          f"{alone_best}; mean gap of a layer's score {100 * gap:+.2f} points, over seeds it spreads by "
          f"{100 * noise:.2f} points\n")  # fmt: skip
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def benchmark_extraction(clips: int, layers: int, width: int, device: torch.device) -> list[dict[str, object]]:
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
        plain, ours = Clock(device), Clock(device)
        with plain.running():
            for first in range(0, clips, 8):
                waves = [soundfile.read(example.audio, dtype="float32")[0] for example in examples[first : first + 8]]
                inputs = encoder.extractor(waves, sampling_rate=16000, padding=True, return_tensors="pt").to(device)
                with torch.no_grad():
                    states = encoder.model(inputs.input_values, output_hidden_states=True).hidden_states
                torch.stack([state.mean(dim=1) for state in states], dim=1).cpu()
        settings = ExtractionSettings(root / "store", batch_seconds=24.0, device=device)
        with ours.running():
            Extractor(encoder, WindowRule(), settings).extract(examples, progress=False)
    print(f"extraction: {clips} clips of 2 to 4 s, {layers} layers, width {width}, {device}")
    rows = [
        ["transformers, padded batches of 8", 1000 * plain.wall / clips, 1000 * plain.cpu / clips, 1.0, 1.0],
        ["ours, equal lengths, stored", 1000 * ours.wall / clips, 1000 * ours.cpu / clips, plain.wall / ours.wall,
         plain.cpu / ours.cpu],
    ]  # fmt: skip
    print(table(["", "ms a clip", "processor ms", "times faster", "in processor time"], rows))
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def main() -> None:
    """Parse and run both comparisons."""
    parser = benchmark_parser(__doc__, "probing")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--states", type=int, default=13)
    parser.add_argument("--epochs", type=int, default=HeadSettings.epochs, help="at most, of every head")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    device = torch.device(parsed.device)
    options = HeadSettings(epochs=parsed.epochs)
    if parsed.quick:
        options = replace(options, learning_rates=(1e-3, 5e-3), seeds=(0, 1), epochs=6)
        rows = benchmark_heads(400, 4, 64, options, device) + benchmark_extraction(24, 2, 128, device)
    else:
        rows = benchmark_heads(parsed.clips, parsed.states, parsed.width, options, device)
        rows += benchmark_extraction(200, parsed.states - 1, parsed.width, device)
    write_json(parsed.output, "probing", rows)


if __name__ == "__main__":
    main()
