"""Train and probe the whole study; the same command goes on where an interrupted one stopped.

python -m study.run --train_data FOLDER --probe_data FOLDER --output_dir runs/study               # 6 hours, 2 cores
python -m study.run --train_data FOLDER --probe_data FOLDER --output_dir runs/study-quick --quick  # 15 minutes
python -m study.report --results runs/study --document docs/study.md
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from musicssl.errors import UserError, run_as_command
from musicssl.probing.features import ExtractionSettings
from musicssl.probing.protocol import ProbeSettings
from musicssl.probing.store import write_json
from musicssl.probing.table import markdown
from study import tasks as study_tasks
from study.jobs import Jobs
from study.plan import ARMS, QUICK_ARMS, Trial, make_plan
from study.trial import average_score

BUDGET_MINUTES, PROBE_MINUTES = 360, 5.0
QUICK_BUDGET_MINUTES, QUICK_PROBE_MINUTES, QUICK_PROBE_CLIPS = 15, 0.8, 150


def build_parser() -> argparse.ArgumentParser:
    """The flags; what --quick leaves open can still be given."""
    parser = argparse.ArgumentParser(
        prog="python -m study.run", description="Train and probe the study's small models."
    )
    parser.add_argument("--train_data", nargs="+", required=True, help="music without labels, as run_pretraining.py")
    parser.add_argument("--probe_data", type=Path, required=True, help="folder of labelled audiofolders")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="few arms, tasks and updates: about 15 minutes")
    parser.add_argument("--budget_minutes", type=float, help="scales the updates of all runs; default: 360")
    parser.add_argument("--seeds", type=int, default=1, help="pre-trainings of each arm")
    parser.add_argument("--jobs", type=int, help="trials at once, which share the cores; default: one per core")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help=f"among {', '.join(ARMS)}; default: all")
    parser.add_argument("--tasks", nargs="+", metavar="FOLDER/COLUMN[:TYPE]", help="below --probe_data")
    parser.add_argument("--probe_clips", type=int, help="of each split at most; default: all, with --quick 150")
    parser.add_argument("--no_curves", action="store_true", help="probe no checkpoints on the way, as with --quick")
    parser.add_argument("--data_root", type=Path, help="also the 13 tasks whose data sets are found here")
    parser.add_argument("--head_seeds", type=int, default=3, help="heads that differ in nothing but their seed")
    parser.add_argument("--head_epochs", type=int, default=50, help="epochs of the heads at most")
    parser.add_argument("--head_learning_rates", type=float, nargs="+", default=[1e-3, 5e-3])
    return parser


def main(command_line: Sequence[str] | None = None) -> None:
    """Plan, then trial after trial."""
    parsed = build_parser().parse_args(command_line)
    if not parsed.probe_data.is_dir():
        raise UserError(f"--probe_data {parsed.probe_data}: no such folder")
    budget = parsed.budget_minutes or (QUICK_BUDGET_MINUTES if parsed.quick else BUDGET_MINUTES)
    arms = parsed.arms or (QUICK_ARMS if parsed.quick else ARMS)
    curves = not (parsed.quick or parsed.no_curves)
    probe_minutes = QUICK_PROBE_MINUTES if parsed.quick else PROBE_MINUTES
    trials = make_plan(arms, parsed.seeds, parsed.train_data, parsed.output_dir, budget, probe_minutes, curves)
    specifications = parsed.tasks or (study_tasks.QUICK if parsed.quick else study_tasks.DEFAULT)
    clips = parsed.probe_clips or (QUICK_PROBE_CLIPS if parsed.quick else None)
    tasks = study_tasks.Tasks(parsed.probe_data, tuple(specifications), clips, parsed.data_root)
    settings = ProbeSettings(
        extraction=ExtractionSettings(parsed.output_dir / "features", device=PartialState().device),
        learning_rates=tuple(parsed.head_learning_rates),
        seeds=tuple(range(parsed.head_seeds)),
        epochs=parsed.head_epochs,
        head_device=PartialState().device,
    )
    parsed.output_dir.mkdir(parents=True, exist_ok=True)
    write_index(trials, [task.name for task, _ in tasks.load()[0]], parsed.output_dir)
    named = trials_named(trials)
    states = dict.fromkeys(named, "waiting")
    jobs = Jobs(parsed.jobs or default_jobs(), parsed.output_dir / "logs", tasks, settings, curves)
    for name, state in jobs.run(named):
        states[name] = state
        print(f"\n{progress_table(trials, states)}\n", flush=True)
    print(f"python -m study.report --results {parsed.output_dir}")


def default_jobs() -> int:
    """Networks as small as these use one core best; a GPU is not shared."""
    return 1 if torch.accelerator.is_available() else os.cpu_count() or 1


def trials_named(trials: Sequence[Trial]) -> dict[str, Trial]:
    return {f"{trial.arm}, seed {trial.seed}": trial for trial in trials}


def progress_table(trials: Sequence[Trial], states: dict[str, str]) -> str:
    """One row per trial: updates, state, the average score so far."""
    rows = []
    for name, trial in trials_named(trials).items():
        score = average_score(trial.folder / "probe")
        updates = str(trial.arguments.max_updates) if trial.trains else "–"
        rows.append([name, updates, states[name], "–" if score is None else f"{100 * score:.1f}"])
    return markdown(["trial", "updates", "state", "average of tasks"], rows)


def write_index(trials: Sequence[Trial], tasks: Sequence[str], output_dir: Path) -> None:
    """study.json: which folder belongs to which arm and seed, for the report."""
    entries = [
        {
            "arm": trial.arm,
            "seed": trial.seed,
            "folder": trial.folder.name,
            "updates": trial.arguments.max_updates if trial.trains else 0,
            "audio_seconds_per_update": trial.arguments.audio_seconds_per_update if trial.trains else 0,
        }
        for trial in trials
    ]
    write_json(output_dir / "study.json", {"tasks": list(tasks), "trials": entries})


if __name__ == "__main__":
    sys.exit(run_as_command(main))
