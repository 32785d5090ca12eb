"""Publish a directory on the Hub in one commit with a tag, with another try after a failure.

An interrupted push is resumed by the next one: large files that arrived are recognized by their hash, and files that
did not change are left out. The token is read by `huggingface_hub` and never shown.
"""

import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from musicssl.errors import UserError, first_line

RETRY_STATUS = (408, 429, 500, 502, 503, 504)
LONGEST_WAIT_SECONDS = 300.0
# Optimizer state, partial files and caches are of no use to others.
IGNORED = ["checkpoint-*/*", ".*", "**/.*", "*.tmp", "events.out.*", "__pycache__/*"]


def redact(text: str) -> str:
    """The text with everything that looks like an access token removed."""
    return re.sub(r"hf_[A-Za-z0-9]{8,}|(?<=[Bb]earer )\S+", "[token]", text)


def check_repo_id(repo_id: str, flag: str = "--hub_model_id") -> None:
    """Raise UserError unless `repo_id` is OWNER/NAME as the Hub spells it; needs no network."""
    try:
        validate_repo_id(repo_id)
        if "/" not in repo_id:
            raise HFValidationError("an owner is missing")
    except HFValidationError as error:
        raise UserError(f"{flag} {repo_id!r} is not OWNER/NAME: {error}") from None


def check_token() -> None:
    """Raise UserError when there is no access token; needs no network."""
    if not get_token():
        raise UserError("no Hugging Face token: run `hf auth login` or set HF_TOKEN")


def _print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Retries:
    """How a push is tried again while the network or the server fails.

    Attributes:
        attempts: how many times to try; None tries until `give_up` is set.
        first_wait_seconds: the pause after the first failure; it doubles up to five minutes.
        give_up: ends the pauses and the push when it is set.
    """

    attempts: int | None = 6
    first_wait_seconds: float = 2.0
    give_up: threading.Event = field(default_factory=threading.Event)


def push_directory(
    directory: Path,
    repo_id: str,
    *,
    private: bool = True,
    tag: str | None = None,
    retries: Retries = Retries(),  # noqa: B008
    report: Callable[[str], None] = _print_to_stderr,
) -> str:
    """Upload a directory to a model repository on the Hub; the repository is created if needed.

    Args:
        directory: its `checkpoint-*` folders and hidden files are left out.
        repo_id: OWNER/NAME.
        private: whether a new repository is private; an existing one keeps its visibility.
        tag: the tag of the commit, `update-400000` for example; a tag that exists is not moved.
        report: receives one line per failure.

    Returns:
        The id of the commit.

    Raises:
        UserError: another attempt would fail too (no such owner, no permission to write, an invalid card), or the
            attempts are used up.
    """
    check_repo_id(repo_id)
    wait_seconds, attempt = retries.first_wait_seconds, 1
    while True:
        try:
            return _push_once(directory, repo_id, private, tag)
        except Exception as error:  # a passing failure is tried again, any other is raised
            cause = _cause(error)
            reason = redact(first_line(cause))
            response = cause.response if isinstance(cause, HfHubHTTPError) else None
            status = None if response is None else response.status_code
            if status in (401, 403):
                raise UserError(
                    f"the access token has no permission to write to {repo_id}: run `hf auth login` or set HF_TOKEN"
                ) from None
            lost_connection = _is_transport(cause) or isinstance(cause, ConnectionError | TimeoutError)
            if status not in RETRY_STATUS and not lost_connection:
                raise UserError(f"cannot push to {repo_id}: {reason}") from None
        if retries.attempts is not None and attempt >= retries.attempts:
            raise UserError(f"the push to {repo_id} failed after {attempt} attempts: {reason}; run it again to resume")
        report(f"push to {repo_id} failed ({reason}); attempt {attempt + 1} in {wait_seconds:g} s")
        if retries.give_up.wait(wait_seconds):
            raise UserError(f"the push to {repo_id} was given up: {reason}; `musicssl push` resumes it")
        wait_seconds, attempt = min(2 * wait_seconds, LONGEST_WAIT_SECONDS), attempt + 1


def _push_once(directory: Path, repo_id: str, private: bool, tag: str | None) -> str:
    api = HfApi(library_name="musicssl")
    api.create_repo(repo_id, private=private, exist_ok=True)
    message = f"Publish the model, {tag}" if tag else "Publish the model"
    ignored = list(IGNORED)  # a copy: `upload_folder` appends its own
    commit = api.upload_folder(repo_id=repo_id, folder_path=directory, commit_message=message, ignore_patterns=ignored)
    if tag:
        api.create_tag(repo_id, tag=tag, revision=commit.oid, exist_ok=True)
    return commit.oid


def _cause(error: BaseException) -> BaseException:
    """The error of the network or the server, which `huggingface_hub` wraps."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, HfHubHTTPError) or _is_transport(link):
            return link
        link = link.__cause__ or link.__context__
    return error


def _is_transport(error: BaseException) -> bool:
    # By name: `huggingface_hub` has changed its HTTP library before, and none of them is our dependency.
    return any(base.__name__ == "TransportError" for base in type(error).__mro__)


class BackgroundPusher:
    """Pushes snapshots of a run while training continues; a failing network is reported and tried again.

    A newer snapshot replaces one that still waits, so that a long outage costs old revisions, but no training time.

    Args:
        repo_id: OWNER/NAME.
        prepare: `prepare(snapshot, directory)` writes what is published from a snapshot of the run.
        private, report: as in `push_directory`.
        first_wait_seconds: as in `Retries`; a push is tried until `close` gives up.
    """

    def __init__(
        self,
        repo_id: str,
        prepare: Callable[[Path, Path], None],
        *,
        private: bool = True,
        first_wait_seconds: float = Retries.first_wait_seconds,
        report: Callable[[str], None] = _print_to_stderr,
    ):
        check_repo_id(repo_id)
        self.repo_id, self.prepare, self.private, self.report = repo_id, prepare, private, report
        self._retries = Retries(attempts=None, first_wait_seconds=first_wait_seconds)
        self.pushed: list[str] = []
        self._waiting: tuple[Path, str] | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="push-to-hub", daemon=True)
        self._thread.start()

    def submit(self, run_directory: Path, update: int) -> None:
        """Queue the run in its present state; return at once.

        A run replaces its files by renaming and never rewrites them, so that hard links keep their present content;
        only `metrics.jsonl` grows in place and is copied.
        """
        tag = f"update-{update}"
        if run_directory.name.startswith("iteration-"):
            tag = f"{run_directory.name}-{tag}"
        snapshot = Path(tempfile.mkdtemp(prefix=".push-", dir=run_directory))
        for source in run_directory.iterdir():
            if not source.name.startswith((".", "checkpoint-")):
                _keep(source, snapshot / source.name)
        with self._changed:
            replaced, self._waiting = self._waiting, (snapshot, tag)
            self._changed.notify_all()
        if replaced:
            shutil.rmtree(replaced[0])
            self.report(f"{replaced[1]} was not pushed: {tag} replaces it")

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the last snapshot is on the Hub; report and return False when the time runs out."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_seconds)
        finished = not self._thread.is_alive()
        if not finished:
            self._retries.give_up.set()
            self.report(f"the last push to {self.repo_id} did not finish; `musicssl push` resumes it")
        return finished

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._waiting is None:
                    return
                (snapshot, tag), self._waiting = self._waiting, None
            try:
                self._push(snapshot, tag)
            except Exception as error:  # whatever happens to a push, training must continue
                self.report(f"{tag} was not pushed: {redact(str(error))}")
            finally:
                shutil.rmtree(snapshot, ignore_errors=True)

    def _push(self, snapshot: Path, tag: str) -> None:
        with tempfile.TemporaryDirectory(prefix=".push-tree-", dir=snapshot.parent) as tree:
            self.prepare(snapshot, Path(tree))
            push_directory(
                Path(tree), self.repo_id, private=self.private, tag=tag, retries=self._retries, report=self.report,
            )  # fmt: skip
        self.pushed.append(tag)


def _keep(source: Path, destination: Path) -> None:
    if source.is_dir():
        destination.mkdir()
        for child in source.iterdir():
            _keep(child, destination / child.name)
    elif source.suffix == ".jsonl":
        shutil.copy2(source, destination)
    else:
        try:
            destination.hardlink_to(source)
        except OSError:  # a file system without hard links
            shutil.copy2(source, destination)
