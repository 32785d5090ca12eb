"""Probe models on tasks: encode each clip once for all tasks, train heads, write results task by task."""

from collections.abc import Sequence
from pathlib import Path

from accelerate import PartialState
from tqdm import tqdm

from musicssl.errors import UserError
from musicssl.probing.encoders.features import Extractor
from musicssl.probing.protocol import ProbeSettings, fingerprint, probe_task
from musicssl.probing.results.results import Results
from musicssl.probing.tasks.base import Task, TaskData


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
        errors: tasks that could not be loaded, and why; recorded beside the results.

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
        # All tasks that cut their clips alike share one pass: MTG-Jamendo's four encode each track once.
        extractor.extract(example for _, data, each in usable if each is extractor for example in data.examples)
    if not state.is_main_process:
        return None
    results = Results(output_dir, encoder.name)
    for name, message in errors.items():
        results.add_error(name, message)
    for task, data, extractor in usable:
        if not overwrite and results.finished(task.name, fingerprint(task, data, extractor, settings)):
            continue
        checkpoint = output_dir / f".{task.name}-{fingerprint(task, data, extractor, settings)[:16]}.heads"
        with tqdm(total=settings.heads(task).epochs, desc=f"heads of {task.name}", unit="epoch", leave=False) as bar:

            def on_epoch(epoch: int, training: int, bar=bar) -> None:
                bar.n = epoch
                bar.set_postfix(training=training)

            try:
                results.add(task.name, probe_task(task, data, extractor, settings, checkpoint, on_epoch))
            except UserError as error:
                results.add_error(task.name, str(error))
        checkpoint.unlink(missing_ok=True)
    results.write()
    return results.content
