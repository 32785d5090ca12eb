"""Train both tiny models on this machine, probe them beside two baselines, and print one table.

Both train on synthesized music, or on your recordings with --music; the labelled notes of the probe are synthesized.
The same command continues an interrupted quick start.
"""

import importlib.util
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from musicssl.commands.parser import CommandParser
from musicssl.errors import UserError

PACKAGES = ("accelerate", "datasets", "evaluate", "faiss", "matplotlib", "mir_eval", "soundfile", "torch")
MODELS = ("music2vec", "musichubert")


def main(command_line: Sequence[str] | None = None) -> None:
    """Run the steps one after another, each as a process of its own, as a user would."""
    parsed = _parser().parse_args(command_line)
    _check(parsed)
    begun = time.monotonic()
    folder = parsed.output_dir
    music = parsed.music or folder / "demo" / "pretrain"
    shortened = []
    if parsed.max_updates:
        shortened = ["--max_updates", parsed.max_updates, "--warmup_updates", max(1, parsed.max_updates // 10)]
    _step("1/4 synthesize music", "demo", "--output_dir", folder / "demo")
    for number, model in enumerate(MODELS, start=2):
        _step(
            f"{number}/4 pre-train {model}", "pretrain", "--config", f"{model}_tiny", "--train_data", music,
            "--output_dir", folder / model, *shortened, launcher=_launcher(),
        )  # fmt: skip
    _step(
        "4/4 probe both, the same networks with random weights, and MFCCs", "probe",
        "--model", *(folder / model for model in MODELS), *(f"random:{folder / model}" for model in MODELS), "mfcc",
        "--custom_task", folder / "demo" / "probe" / "notes", "--label", "instrument", "pitch_class",
        "--learning_rates", "1e-3", "5e-3", "--seeds", "3", "--feature_store", folder / "features",
        "--output_dir", folder / "probe",
    )  # fmt: skip
    print(f"quick start: {(time.monotonic() - begun) / 60:.1f} minutes")
    print(f"checkpoints and training curves: {' '.join(str(folder / model) for model in MODELS)} (training.png)")
    print(f"probing report with its pictures: {folder / 'probe' / 'report.html'}")


def _check(parsed: Namespace) -> None:
    """Everything that would stop a later step, before the first one."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UserError(f"not installed: {', '.join(missing)}; pip install music2vec-musichubert installs them")
    if parsed.music is not None and not parsed.music.is_dir():
        raise UserError(f"--music {parsed.music}: no such folder")
    if parsed.max_updates is not None and parsed.max_updates < 2:
        raise UserError(f"--max_updates {parsed.max_updates}: must be at least 2")


def _launcher() -> list[str]:
    """`accelerate launch` for one process on the CPU."""
    import torch

    threads = str(torch.get_num_threads())  # what accelerate would choose, with a warning
    return [
        "-m", "accelerate.commands.launch", "--quiet", "--cpu", "--num_processes", "1", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", threads,
    ]  # fmt: skip


def _step(title: str, command: str, *arguments: object, launcher: Sequence[str] = ()) -> None:
    """Run `musicssl command arguments` in a new process; raise UserError when it fails."""
    print(f"== {title}", flush=True)
    begun = time.monotonic()
    line = [sys.executable, *launcher, "-m", "musicssl", command, *map(str, arguments)]
    process = subprocess.Popen(line)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it got the Ctrl-C too, and saves what it has before it stops
        raise
    if status:
        raise UserError(f"musicssl {command} failed (status {status}); the quick start stopped at: {title}")
    print(f"== done in {time.monotonic() - begun:.0f} s", flush=True)


def _parser() -> CommandParser:
    parser = CommandParser("musicssl quickstart", __doc__)
    parser.add_argument(
        "--music", type=Path, metavar="FOLDER", help="folder of recordings to train on (default: synthesized music)"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path("runs/quickstart"), metavar="DIR",
        help="folder to write to (default: runs/quickstart)",
    )  # fmt: skip
    parser.add_argument(
        "--max_updates", type=int, metavar="N", help="train for N updates, not the recipes' 500, to try the steps"
    )
    return parser
