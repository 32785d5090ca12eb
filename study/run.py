"""Train and probe the whole study; the same command resumes an interrupted one.

python -m study.run --train_data FOLDER --probe_data FOLDER --output_dir runs/study
python -m study.run --train_data FOLDER --probe_data FOLDER --output_dir runs/study-quick --quick  # 15 minutes
python -m study.report --results runs/study --documents docs/study.md docs/study_tables.md
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from musicssl.audio.prepare import ClipSettings, prepare
from musicssl.audio.sources import parse_sources
from musicssl.errors import UserError, run_as_command
from musicssl.probing.encoders.features import ExtractionSettings
from musicssl.probing.protocol import ProbeSettings
from musicssl.tables import Table
from study.archives import write_archives
from study.front_end import measure_front_ends
from study.index import write_index
from study.jobs import Jobs
from study.material import check_speech_and_excerpt, total_seconds, write_excerpt, write_speech
from study.plan import (
    ARMS,
    EXCERPT,
    OWN_MATERIAL,
    QUICK_ARMS,
    SPEECH,
    Trial,
    check_arms,
    expected_minutes,
    make_plan,
    share_of_budget,
)
from study.tasks import DEFAULT, QUICK, Tasks
from study.trial import average_score

PROBE_MINUTES = 6.5  # approximate time to probe one model on one of two busy cores
QUICK_BUDGET_MINUTES, QUICK_PROBE_MINUTES = 14, 1.3  # one minute less than promised
MATERIAL_MINUTES, SET_MINUTES = 0.5, 0.8  # approximate time to cut the music, and to make the sets of size 1
PROBE_CLIPS, QUICK_PROBE_CLIPS = 300, 100
SET_SIZE, QUICK_SET_SIZE = 3, 0
# The networks of the study are small: on a CPU a batch of a few seconds stays in the cache.
BATCH_SECONDS = {"cpu": 10.0}


def build_parser() -> argparse.ArgumentParser:
    """The flags; each flag given overrides what --quick sets."""
    parser = argparse.ArgumentParser(
        prog="python -m study.run", description="Train and probe the study's small models."
    )
    parser.add_argument("--train_data", nargs="+", required=True, help="unlabelled music, as for run_pretraining.py")
    parser.add_argument("--probe_data", type=Path, required=True, help="folder with labelled audiofolders to probe on")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for all runs and their scores")
    parser.add_argument("--quick", action="store_true", help="run few arms, tasks and updates: about 15 minutes")
    parser.add_argument("--budget_minutes", type=float, help="scale all updates to fit into this time; default: no")
    parser.add_argument("--seeds", type=int, default=1, help="number of pre-training seeds of each arm")
    parser.add_argument("--jobs", type=int, help="number of trials at once; default: one per core, or one on a GPU")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help=f"arms to run, of {', '.join(ARMS)}; default: all")
    parser.add_argument("--tasks", nargs="+", metavar="FOLDER/COLUMN[:TYPE]", help="labels of --probe_data to probe")
    parser.add_argument("--probe_clips", type=int, help="most clips per split to probe; default: 300, --quick 100")
    parser.add_argument("--no_curves", action="store_true", help="skip intermediate checkpoints, as --quick does")
    parser.add_argument("--set_size", type=int, help="size of the synthetic sets; default: 3, --quick 0 (none)")
    parser.add_argument("--data_root", type=Path, help="folder with the real data sets of the 13 tasks")
    parser.add_argument("--head_seeds", type=int, default=3, help="number of head seeds")
    parser.add_argument("--head_epochs", type=int, default=50, help="most epochs of a head")
    # The single rate of the experiments nearest to the paper (paper.md, section 2).
    parser.add_argument("--head_learning_rates", type=float, nargs="+", default=[1e-3], help="head learning rates")
    parser.add_argument(
        "--feature_scaling", choices=["standard", "none"], default="standard", help="scaling of the heads' input"
    )
    return parser


def main(command_line: Sequence[str] | None = None) -> None:
    """Make the missing audio, plan the trials and run them."""
    parsed = build_parser().parse_args(command_line)
    if not parsed.probe_data.is_dir():
        raise UserError(f"--probe_data {parsed.probe_data}: no such folder")
    arms = parsed.arms or default_arms(parsed.quick, parsed.probe_data, parsed.train_data)
    check_arms(arms)
    if parsed.arms and not set(OWN_MATERIAL).isdisjoint(arms):
        check_speech_and_excerpt(parsed.probe_data, parsed.train_data)
    # Networks as small as these use one core best.
    jobs = parsed.jobs or (1 if torch.accelerator.is_available() else os.cpu_count() or 1)
    curves = not (parsed.quick or parsed.no_curves)
    probe_minutes = QUICK_PROBE_MINUTES if parsed.quick else PROBE_MINUTES
    budget, share = parsed.budget_minutes or (QUICK_BUDGET_MINUTES if parsed.quick else None), 1.0
    if budget is not None:
        # An estimate, not the time measured today: a resumed study must have the same trials.
        material_minutes = MATERIAL_MINUTES + SET_MINUTES * set_size(parsed)
        share = share_of_budget(arms, parsed.seeds, budget, material_minutes, probe_minutes, jobs, curves)
    parsed.output_dir.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    tasks = make_tasks(parsed)
    music = make_training_audio(parsed, arms)
    trials = make_plan(arms, parsed.seeds, music, parsed.output_dir, share)
    device = PartialState().device
    settings = ProbeSettings(
        extraction=ExtractionSettings(
            parsed.output_dir / "features", BATCH_SECONDS.get(device.type, 120.0), device=device
        ),
        learning_rates=tuple(parsed.head_learning_rates),
        seeds=tuple(range(parsed.head_seeds)),
        epochs=parsed.head_epochs,
        feature_scaling=parsed.feature_scaling,
        head_device=device,
    )
    heads = {name: value for name, value in vars(parsed).items() if name.startswith(("head_", "feature_"))}
    comparable = {"share_of_updates": share, "train_data": parsed.train_data, "set_size": set_size(parsed), **heads}
    write_index(trials, tasks, comparable, parsed.output_dir)
    named = {f"{trial.arm}, seed {trial.seed}": trial for trial in trials}
    states = dict.fromkeys(named, "waiting")
    minutes = expected_minutes(trials, probe_minutes, jobs, curves)
    print(f"{len(trials)} trials, {jobs} at once: about {minutes:.0f} minutes on two cores if nothing is done yet")
    for name, state in Jobs(jobs, parsed.output_dir / "logs", tasks, settings, curves).run(named):
        states[name] = state
        print(f"\n{progress_table(named, states)}\n", flush=True)
    measure_front_ends(trials, music)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; python -m study.report --results {parsed.output_dir}")


def default_arms(quick: bool, probe_data: Path, train_data: Sequence[str]) -> Sequence[str]:
    """All arms, but speech and its excerpt of music only when the data hold both."""
    if quick:
        return QUICK_ARMS
    try:
        check_speech_and_excerpt(probe_data, train_data)
    except UserError as error:
        print(f"left out: {', '.join(OWN_MATERIAL)} ({error})")
        return [arm for arm in ARMS if arm not in OWN_MATERIAL]
    return ARMS


def set_size(parsed: argparse.Namespace) -> int:
    """Size of the synthetic sets for the 13 tasks; 0 for none."""
    if parsed.data_root is not None:
        return 0
    return parsed.set_size if parsed.set_size is not None else QUICK_SET_SIZE if parsed.quick else SET_SIZE


def make_tasks(parsed: argparse.Namespace) -> Tasks:
    """What to probe; without --data_root synthetic sets are written for the 13 tasks."""
    data_root = parsed.data_root
    if size := set_size(parsed):
        data_root = parsed.output_dir / "sets"
        write_archives(data_root, size=size)
    labels = tuple(parsed.tasks or (QUICK if parsed.quick else DEFAULT))
    clips = parsed.probe_clips or (QUICK_PROBE_CLIPS if parsed.quick else PROBE_CLIPS)
    return Tasks(parsed.probe_data, labels, clips, data_root)


def make_training_audio(parsed: argparse.Namespace, arms: Sequence[str]) -> list[str]:
    """Write --train_data as shards that stream fast, and the training audio of the arms that have their own."""
    music = parsed.output_dir / "music"
    prepare(parse_sources(parsed.train_data), music, ClipSettings(), validation_fraction=0.0)
    if not set(OWN_MATERIAL).isdisjoint(arms):
        speech = write_speech(parsed.probe_data, parsed.output_dir / OWN_MATERIAL[SPEECH])
        write_excerpt(parsed.train_data, total_seconds(speech), parsed.output_dir / OWN_MATERIAL[EXCERPT])
    return [str(music)]


def progress_table(trials: dict[str, Trial], states: dict[str, str]) -> str:
    """One row per trial: updates, state, average score so far."""
    rows = []
    for name, trial in trials.items():
        score = average_score(trial.folder / "probe")
        updates = str(trial.config.optimisation.max_updates) if trial.trains else "–"
        rows.append([name, updates, states[name], "–" if score is None else f"{100 * score:.1f}"])
    return Table(["trial", "updates", "state", "average of tasks"], rows).markdown()


if __name__ == "__main__":
    sys.exit(run_as_command(main))
