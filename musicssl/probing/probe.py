"""Probe models on tasks: encode each clip once for all tasks, train heads, write results task by task."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from tqdm import tqdm

from musicssl.distributed import PROCESS_TIMEOUT
from musicssl.errors import UserError
from musicssl.probing.encoders.features import Extractor
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.protocol import ProbeSettings, fingerprint, probe_task
from musicssl.probing.request import ProbeRequest
from musicssl.probing.results.results import Results
from musicssl.probing.tasks.base import Task, TaskData
from musicssl.probing.tasks.custom import custom_tasks
from musicssl.probing.tasks.finding import load_tasks, select_tasks


def probe(
    models: str | Path | Sequence[str | Path],
    *,
    custom_task: str | Path | None = None,
    label: str | Sequence[str] = (),
    kinds: str | Sequence[str] = "multiclass",
    tasks: str | Sequence[str] | None = None,
    data_root: str | Path | None = None,
    output_dir: str | Path | None = None,
    **settings: Any,
) -> list[dict]:
    """Measure what frozen audio encoders know, task by task and layer by layer, as `musicssl probe` does.

    Args:
        models: checkpoint directories or Hub ids, `random:DIR` (the same network with random weights), or acoustic
            features (mfcc, chroma, cqt, logmel).
        custom_task: your own labels, as `musicssl.probing.tasks.custom.custom_tasks` reads them, with
        label: the columns to predict, one task each, and
        kinds: what they hold (`musicssl.probing.kinds.KINDS`), one for all columns or one per column. Or
        tasks: names of the 13 published tasks, or "all", with
        data_root: the folder with one folder per data set.
        output_dir: for `results.json` and `predictions/`; by default `runs/probing/MODEL`. Finished tasks in it are
            not done again.
        settings: the other fields of `musicssl.probing.request.ProbeRequest`, such as `seeds=3, max_epochs=20`.

    Returns:
        The content of each model's `results.json`; a task that could not be done is listed under "errors", with
        the reason. Under `accelerate launch` all processes but the main one return an empty list.

    Raises:
        UserError: something that was given cannot be used; the message names the flag of `musicssl probe`.
    """
    return carry_out(
        ProbeRequest(
            model=tuple(map(str, _listed(models))),
            custom_task=str(custom_task or ""),
            label=tuple(_listed(label)),
            type=tuple(_listed(kinds)),
            tasks=",".join(_listed(tasks or "")),
            data_root=str(data_root or ""),
            output_dir=str(output_dir or ""),
            **settings,
        )
    )


def carry_out(request: ProbeRequest) -> list[dict]:
    """Load the tasks and probe every model on them; returns as `probe` does."""
    state = PartialState(timeout=PROCESS_TIMEOUT)
    tasks: Sequence[tuple[Task, TaskData]]
    errors: dict[str, str] = {}
    if request.custom_task:
        columns = (request.label, request.type, request.audio_column, request.track_column)
        tasks = custom_tasks(request.custom_task, *columns)
    else:
        tasks, errors = load_tasks(select_tasks(request.tasks), Path(request.data_root), request.allow_partial)
    settings, dtype = request.settings(state.device), getattr(torch, request.dtype)
    if state.is_main_process:
        print(f"probing {len(request.folders)} models on {len(tasks)} tasks", flush=True)
    contents = []
    for model, folder in request.folders.items():
        encoder = load_encoder(model, dtype, request.trust_remote_code, request.seed)
        contents.append(probe_model(encoder, tasks, errors, settings, folder, request.overwrite))
    return [content for content in contents if content is not None]


def probe_model(
    encoder,
    tasks: Sequence[tuple[Task, TaskData]],
    errors: dict[str, str],
    settings: ProbeSettings,
    output_dir: Path,
    overwrite: bool = False,
) -> dict | None:
    """Probe one encoder on every task.

    Every process of an `accelerate launch` encodes its share; the main one trains the heads.

    Args:
        errors: tasks that could not be loaded, and why; recorded with the results.

    Returns:
        The content of `results.json` on the main process, None on the others.
    """
    state = PartialState()
    errors = dict(errors)
    extractors, usable = {}, []
    for task, data in tasks:
        rule = settings.window_rule(task)
        try:
            if rule not in extractors:
                extractors[rule] = Extractor(encoder, rule, settings.extraction)
            usable.append((task, data, extractors[rule]))
        except UserError as error:
            errors[task.name] = str(error)
    for extractor in extractors.values():
        # All tasks with the same window rule share one pass: MTG-Jamendo's four encode each track once.
        extractor.extract(example for _, data, each in usable if each is extractor for example in data.examples)
    if not state.is_main_process:
        return None
    results = Results(output_dir, encoder.name)
    for name, message in errors.items():
        results.add_error(name, message)
    for task, data, extractor in usable:
        key = fingerprint(task, data, extractor, settings)
        if not overwrite and results.finished(task.name, key):
            continue
        begun = time.monotonic()
        checkpoint = output_dir / f".{task.name}-{key[:16]}.heads"
        with tqdm(total=settings.heads(task).epochs, desc=f"heads of {task.name}", unit="epoch", leave=False) as bar:

            def on_epoch(epoch: int, training: int, bar=bar) -> None:
                bar.n = epoch
                bar.set_postfix_str(f"{training} heads still training")

            try:
                results.add(task.name, probe_task(task, data, extractor, settings, checkpoint, on_epoch))
            except UserError as error:
                results.add_error(task.name, str(error))
        checkpoint.unlink(missing_ok=True)
        print(f"{encoder.name}, {task.name}: {time.monotonic() - begun:.0f} s", flush=True)
    results.write()
    return results.content


def _listed(given: Any) -> list:
    """One value as a list of one."""
    return [given] if isinstance(given, (str, Path)) else list(given)
