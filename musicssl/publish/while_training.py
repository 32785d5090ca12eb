"""Publish a run: once, or at every few checkpoints while it trains (`--push_to_hub`)."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from musicssl.errors import UserError
from musicssl.pretraining.files.metrics import read_metrics
from musicssl.publish.push import BackgroundPusher, push_directory
from musicssl.publish.tree import assemble

LAST_PUSH_SECONDS = 3600.0


def push_run(
    directory: Path,
    hub_model_id: str,
    *,
    private: bool = True,
    dtype: torch.dtype | None = None,
    license: str | None = None,
    data_description: str = "",
) -> tuple[str, str | None]:
    """Make the published tree of a run or of a converted model, with its card, and push it.

    Args:
        directory: output directory of a run, or of `musicssl convert`.
        dtype: number format of the published weights; None keeps that of the run.
        license, data_description: as in `write_card`.

    Returns:
        The address of the commit, and the tag of the run's last update (None without metrics.jsonl).

    Raises:
        UserError: no model in `directory`, or the Hub refuses the push.
    """
    with tempfile.TemporaryDirectory() as tree:
        assemble(directory, tree, dtype, model_id=hub_model_id, license=license, data_description=data_description)
        metrics = Path(tree, "metrics.jsonl")
        rows = read_metrics(metrics) if metrics.is_file() else []
        tag = f"update-{rows[-1]['update']}" if rows else None
        return push_directory(Path(tree), hub_model_id, private=private, tag=tag), tag


@contextmanager
def push_while_training(hub_model_id: str | None, private: bool, every: int) -> Iterator[Callable[[Path, int], None]]:
    """Push checkpoints to the Hub in the background: gives the function for `train(..., after_checkpoint=...)`.

    Every `every`-th checkpoint is pushed, and the last one at the end, which is waited for, at most an hour. A Hub
    that cannot be reached never stops training.

    Yields:
        `after_checkpoint(run_directory, update)`, to be called once `run_directory` holds the new checkpoint.

    Raises:
        UserError: `hub_model_id` is missing, or the Hub would refuse it.
    """
    if not hub_model_id:
        raise UserError("--push_to_hub has no repository to push to: add --hub_model_id OWNER/NAME")

    def prepare(snapshot: Path, tree: Path) -> None:
        assemble(snapshot, tree, model_id=hub_model_id)

    pusher = BackgroundPusher(hub_model_id, prepare, private=private)
    checkpoints, left_over = 0, None

    def after_checkpoint(run_directory: Path, update: int) -> None:
        nonlocal checkpoints, left_over
        checkpoints, left_over = checkpoints + 1, (run_directory, update)
        if checkpoints % every == 0:
            pusher.submit(*left_over)
            left_over = None

    try:
        yield after_checkpoint
    finally:
        if left_over:
            pusher.submit(*left_over)
        pusher.close(LAST_PUSH_SECONDS)
