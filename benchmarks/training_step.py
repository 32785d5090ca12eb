"""A training step of both models beside a plain implementation with transformers modules, in fp32 and bf16.

    python benchmarks/training_step.py [--models NAME ...] [--sizes tiny base] [--crops 5 30] [--clips 4]
                                       [--compile] [--repeats 3] [--threads N] [--quick] [--output FILE]

A step is forward, backward, clipping (musicHuBERT), AdamW and the teacher's average (music2vec). `hf` is
`hf_reference.py`, `stock` is our models alone, `ours` is our models with the CPU kernels that training uses
(`cpu_kernels.py`). The candidates take turns, each in its own process with the same number of threads. `times hf`
compares wall time with hf in the same precision, `times fp32` with the same candidate in fp32. `core-s` is CPU time
over all threads, which is more reliable on a busy machine. `of peak` is the time that the operations of the step would
take at the rate of a large matrix product in that precision, as a share of the step.
"""

import itertools
import statistics
from collections.abc import Callable
from dataclasses import asdict

import torch
from hf_reference import Data2VecTraining, HubertTraining
from in_process import InProcess
from side_by_side import benchmark_parser, rows_table, side_by_side, write_json

from music2vec import Music2VecConfig, Music2VecForPreTraining
from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.families import stock_config
from musicssl.pretraining.frames import frames_per_crop
from musicssl.pretraining.masking import span_mask
from musicssl.pretraining.model.cpu_kernels import keep_freed_memory, use_cpu_kernels
from musicssl.pretraining.planning.cost import crop_cost, measure_peak_flops
from musicssl.pretraining.training.optimizer import make_optimizer

SIZES = {
    "base": {},
    # The widths of recipes/*_tiny.yaml
    "tiny": {
        "hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 576,
        "conv_dim": [32, 32, 48, 64, 64, 96, 96],
    },
}  # fmt: skip
TOP_K = {"base": 8, "tiny": 2}
NUM_CLUSTERS = 500
MASK = {"music2vec": (0.65, 10, 1), "musichubert": (0.8, 10, 2)}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def our_config(model: str, size: str, **options: object):
    # No layer drop: a random number of layers would make times differ.
    settings = {**SIZES[size], "layerdrop": 0.0}
    if model == "music2vec":
        return Music2VecConfig(**settings | {"average_top_k_layers": TOP_K[size]} | options)
    return MusicHubertConfig(**settings | {"num_clusters": NUM_CLUSTERS} | options)


def our_model(config) -> torch.nn.Module:
    return (Music2VecForPreTraining if config.model_type == "music2vec" else MusicHubertForPreTraining)(config)


def hf_model(model: str, size: str) -> torch.nn.Module:
    """The plain implementation, with a backbone configured as ours."""
    config = stock_config(our_config(model, size))
    return Data2VecTraining(config, TOP_K[size]) if model == "music2vec" else HubertTraining(config, NUM_CLUSTERS)


def inputs(config, seconds: float, clips: int, masks_per_clip: int = 1) -> dict[str, torch.Tensor]:
    """A batch for the model of this configuration, ours or the plain one."""
    generator = torch.Generator().manual_seed(0)
    samples = round(seconds * config.sampling_rate)
    frames = frames_per_crop(config, samples)[-1]
    batch = {
        "input_values": torch.randn(clips, samples, generator=generator),
        "mask_time_indices": span_mask(clips * masks_per_clip, frames, *MASK[config.model_type], generator),
    }
    if config.model_type == "musichubert":
        batch["labels"] = torch.randint(0, config.num_clusters, (clips, frames), generator=generator)
    return batch


def build_step(
    candidate: str, model: str, size: str, precision: str, seconds: float, clips: int, wrap=lambda network: network,
    masks_per_clip: int = 1, **options: object,
) -> Callable[[], object]:  # fmt: skip
    """One optimizer update of a candidate, as a call that can be repeated.

    Args:
        wrap: wraps the network that is called, for data parallelism.
        masks_per_clip: number of masks of each crop; not for `hf`.
        options: settings of the model configuration; not for `hf`.
    """
    torch.manual_seed(0)
    if candidate == "hf":
        network = hf_model(model, size)
        optimizer = torch.optim.AdamW(
            [p for p in network.parameters() if p.requires_grad],
            lr=1e-5, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, fused=True,
        )  # fmt: skip
        update_teacher = network.update_teacher if model == "music2vec" else None
    else:
        network = our_model(our_config(model, size, **options))
        optimizer = make_optimizer(network, learning_rate=1e-5)
        update_teacher = (lambda: network.update_teacher(1000)) if model == "music2vec" else None
        if candidate == "compiled":
            network.compile()
        if candidate == "ours" and DEVICE == "cpu":
            keep_freed_memory()
            use_cpu_kernels(network)
    network.to(DEVICE).train()
    called = wrap(network)
    batch = inputs(our_config(model, size), seconds, clips, masks_per_clip)
    batch = {name: tensor.to(DEVICE) for name, tensor in batch.items()}

    def step() -> None:
        if update_teacher:
            update_teacher()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
            output = called(**batch)
        loss = output if candidate == "hf" else output.loss
        loss.backward()
        if model == "musichubert":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return step


def compare(
    candidates: list[str], model: str, size: str, seconds: float, clips: int, threads: int, repeats: int
) -> list[dict[str, object]]:
    """One row per candidate and precision, all measured in turn."""
    peaks = {precision: measure_peak_flops(torch.device(DEVICE), dtype) for precision, dtype in DTYPES.items()}
    names = [(candidate, precision) for precision in DTYPES for candidate in candidates]
    processes = {
        " ".join(name): InProcess(build_step, name[0], model, size, name[1], seconds, clips, threads=threads)
        for name in names
    }
    timings = {timing.name: timing for timing in side_by_side(processes, "hf fp32", repeats)}
    cores = {name: statistics.median(process.cpu_seconds[1:]) for name, process in processes.items()}
    for process in processes.values():
        process.close()
    flops = clips * crop_cost(our_config(model, size), round(seconds * 16000)).training_flops
    rows = []
    for candidate, precision in names:
        name = f"{candidate} {precision}"
        timing = timings[name]
        rows.append({
            "model": model, "size": size, "crop_seconds": seconds, "clips": clips, "candidate": candidate,
            "precision": precision, **asdict(timing), "cpu_seconds": cores[name],
            "audio_seconds_per_second": clips * seconds / timing.median_seconds,
            "times_hf": timing.ratio_to_reference / timings[f"hf {precision}"].ratio_to_reference,
            "times_hf_core": cores[f"hf {precision}"] / cores[name],
            "times_fp32": timings[f"{candidate} fp32"].median_seconds / timing.median_seconds,
            "times_fp32_core": cores[f"{candidate} fp32"] / cores[name],
            "share_of_peak": flops / timing.median_seconds / peaks[precision],
        })  # fmt: skip
    return rows


COLUMNS = {
    "model": "model", "size": "size", "crop_seconds": "crop s", "candidate": "candidate", "precision": "precision",
    "median_seconds": "s/step", "min_seconds": "min", "max_seconds": "max",
    "audio_seconds_per_second": "audio-s/s", "times_hf": "times hf", "times_fp32": "times fp32",
    "cpu_seconds": "core-s", "times_hf_core": "times hf (core-s)", "times_fp32_core": "times fp32 (core-s)",
    "share_of_peak": "of peak",
}  # fmt: skip


def main() -> None:
    parser = benchmark_parser(__doc__.splitlines()[0], "training_step")
    parser.add_argument("--models", nargs="+", default=list(MASK), choices=list(MASK), help="models to measure")
    parser.add_argument("--sizes", nargs="+", default=["base"], choices=list(SIZES), help="sizes of the model")
    parser.add_argument("--crops", nargs="+", type=float, default=[5.0], help="crop lengths in seconds")
    parser.add_argument("--clips", type=int, default=4, help="number of clips per step")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each candidate")
    parser.add_argument("--compile", action="store_true", help="add torch.compile, which takes minutes")
    parser.add_argument("--candidates", nargs="+", default=["hf", "stock", "ours"], help="what to time, hf included")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.crops, arguments.clips, arguments.repeats = ["tiny"], [1.0], 2, 1
        arguments.candidates = ["hf", "ours"]
    torch.set_num_threads(arguments.threads)
    candidates = arguments.candidates + ["compiled"] * arguments.compile
    rows = []
    for model, size, seconds in itertools.product(arguments.models, arguments.sizes, arguments.crops):
        measured = compare(candidates, model, size, seconds, arguments.clips, arguments.threads, arguments.repeats)
        print(rows_table(measured, COLUMNS), flush=True)
        rows += measured
        write_json(arguments.output, "training_step", rows)


if __name__ == "__main__":
    main()
