"""Publishing a run: `musicssl push DIR OWNER/NAME`, and the pushes of `run_pretraining.py --push_to_hub`."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from musicssl.errors import UserError
from musicssl.pretraining.files.metrics import read_metrics
from musicssl.publish.push import BackgroundPusher, check_repo_id, push_directory
from musicssl.publish.tree import assemble

LAST_PUSH_SECONDS = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `musicssl push`."""
    parser.add_argument("directory", type=Path, help="a run's output directory, or a converted model's")
    parser.add_argument("hub_model_id", metavar="OWNER/NAME", help="repository; made when it is not there")
    parser.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the published weights")
    parser.add_argument("--license", dest="licence", help="licence of the weights as the Hub spells it: cc-by-4.0")
    parser.add_argument("--data_description", default="", help="what it was trained on, in your words")


def run(arguments: argparse.Namespace) -> None:
    """Make the tree with its card and publish it."""
    check_repo_id(arguments.hub_model_id, "OWNER/NAME")
    dtype = getattr(torch, arguments.dtype) if arguments.dtype else None
    with tempfile.TemporaryDirectory() as tree:
        assemble(
            arguments.directory, tree, dtype, model_id=arguments.hub_model_id, licence=arguments.licence,
            data_description=arguments.data_description,
        )  # fmt: skip
        tag = _tag_of(Path(tree))
        commit = push_directory(Path(tree), arguments.hub_model_id, private=not arguments.public, tag=tag)
    print(f"{arguments.hub_model_id} is at {commit}{f', tag {tag}' if tag else ''}")


def _tag_of(tree: Path) -> str | None:
    rows = read_metrics(tree / "metrics.jsonl") if (tree / "metrics.jsonl").is_file() else []
    return f"update-{rows[-1]['update']}" if rows else None


@contextmanager
def push_while_training(hub_model_id: str | None, private: bool, every: int) -> Iterator[Callable[[Path, int], None]]:
    """What `train(..., after_checkpoint=...)` takes: checkpoints go to the Hub in the background.

    Every `every`-th checkpoint is pushed, and on leaving the last one, which is waited for, an hour at most. A Hub
    that cannot be reached never stops training.

    Raises:
        UserError: no `--hub_model_id`, or one that the Hub would refuse.
    """
    if not hub_model_id:
        raise UserError("--push_to_hub needs --hub_model_id OWNER/NAME")

    def prepare(snapshot: Path, tree: Path) -> None:
        assemble(snapshot, tree, model_id=hub_model_id)

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    pusher = BackgroundPusher(hub_model_id, prepare, private=private, report=report)
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
