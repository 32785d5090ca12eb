"""Probe frozen audio encoders on labelled music and print what they know."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import PartialState

from musicssl.distributed import PROCESS_TIMEOUT
from musicssl.probing.arguments import AVAILABLE, parse_arguments, probe_settings, slug
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.probe import probe_model
from musicssl.probing.results.compare import compare, difference_table
from musicssl.probing.results.report import write_report
from musicssl.probing.results.results import load_results
from musicssl.probing.results.table import published_table, score_table
from musicssl.probing.tasks.base import Task, TaskData
from musicssl.probing.tasks.custom import custom_task
from musicssl.probing.tasks.finding import availability_table, load_tasks, select_tasks

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, load the tasks, probe every model, print the table."""
    parsed = parse_arguments(arguments)
    if parsed.compare:
        show(parsed, parsed.compare)
        return 0
    if parsed.tasks == AVAILABLE:
        print(availability_table(parsed.data_root))
        return 0
    state = PartialState(timeout=PROCESS_TIMEOUT)
    tasks, errors = tasks_of(parsed)
    settings = probe_settings(parsed, state.device)
    folders = output_folders(parsed)
    failed = bool(errors)
    for model, folder in folders.items():
        encoder = load_encoder(model, DTYPES[parsed.dtype], parsed.trust_remote_code, parsed.seed)
        content = probe_model(encoder, tasks, errors, settings, folder, parsed.overwrite)
        failed |= content is not None and any(task.name in content["errors"] for task, _ in tasks)
    if state.is_main_process:
        show(parsed, list(folders.values()))
    return 1 if failed else 0


def tasks_of(parsed: Namespace) -> tuple[list[tuple[Task, TaskData]], dict[str, str]]:
    """The tasks that can be run, and for the others why not."""
    if parsed.tasks:
        return load_tasks(select_tasks(parsed.tasks), parsed.data_root, parsed.allow_partial)
    kinds = parsed.kinds * len(parsed.label) if len(parsed.kinds) == 1 else parsed.kinds
    tasks = [
        custom_task(parsed.custom_task, label, kind, parsed.audio_column, parsed.track_column)
        for label, kind in zip(parsed.label, kinds, strict=True)
    ]
    return [(task, task.load(parsed.custom_task)) for task in tasks], {}


def output_folders(parsed: Namespace) -> dict[str, Path]:
    """model -> folder: the first model's results lie in --output_dir itself, each other's in a folder below."""
    models = list(dict.fromkeys([*parsed.model, *parsed.baselines]))
    return {model: parsed.output_dir if i == 0 else parsed.output_dir / slug(model) for i, model in enumerate(models)}


def show(parsed: Namespace, folders: Sequence[Path]) -> None:
    """Print the tables of finished folders and write the report into the first."""
    results = [load_results(folder) for folder in folders]
    differences, notes = compare(folders)
    print(score_table(results))
    if published := published_table(results):
        print(f"\n{published}")
    if differences:
        print(f"\n{difference_table(differences)}")
    for note in notes:
        print(note)
    written = [folder / "results.json" for folder in folders]
    if not parsed.no_report:
        report = (parsed.output_dir or folders[0]) / "report.html"
        write_report(results, report, differences, notes)
        written.append(report)
    print("\n" + "\n".join(str(path) for path in written))
