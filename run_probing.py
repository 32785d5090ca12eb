"""Probe frozen audio encoders: `python run_probing.py --model DIR --custom_task FOLDER --label COLUMN`."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from musicssl.errors import UserError, run_as_command
from musicssl.probing.arguments import ALL, AVAILABLE, parse_arguments, probe_settings, slug
from musicssl.probing.custom_task import custom_task
from musicssl.probing.encoders import RANDOM_PREFIX, load_encoder
from musicssl.probing.session import probe_model
from musicssl.probing.table import published_table, score_table
from musicssl.probing.tasks.base import Task, TaskData

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, load the tasks, probe every model, print the table."""
    parsed = parse_arguments(arguments)
    state = PartialState()
    tasks, errors = load_tasks(parsed)
    settings = probe_settings(parsed, state.device)
    results = []
    for model, folder in output_folders(parsed).items():
        encoder = load_encoder(model, DTYPES[parsed.dtype], parsed.trust_remote_code, parsed.seed)
        results.append(probe_model(encoder, tasks, errors, settings, folder, parsed.overwrite))
    if not state.is_main_process:
        return 0
    print(score_table(results))
    print(published_table(results))
    print(f"results: {parsed.output_dir / 'results.json'}")
    return 1 if any(result["errors"] for result in results) else 0


def load_tasks(parsed: Namespace) -> tuple[list[tuple[Task, TaskData]], dict[str, str]]:
    """The tasks that can be run, and for the others why not. A custom task that cannot is an error."""
    if parsed.custom_task:
        kinds = parsed.kinds * len(parsed.label) if len(parsed.kinds) == 1 else parsed.kinds
        tasks = [
            custom_task(parsed.custom_task, label, kind, parsed.audio_column, parsed.track_column)
            for label, kind in zip(parsed.label, kinds, strict=True)
        ]
        return [(task, task.load(parsed.custom_task)) for task in tasks], {}
    raise UserError("--tasks is not there yet")


def output_folders(parsed: Namespace) -> dict[str, Path]:
    """model -> folder: the first model's results lie in --output_dir itself, each other's in a folder below."""
    baselines = parsed.baselines
    models = list(dict.fromkeys([*parsed.model, *baselines]))
    return {model: parsed.output_dir if i == 0 else parsed.output_dir / slug(model) for i, model in enumerate(models)}


if __name__ == "__main__":
    sys.exit(run_as_command(main))
