"""Pushing speaks the Hub's protocol, survives a failing server, and shows no token."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import hub_server
import huggingface_hub.constants
import pytest
import torch
from hub_repository import Repository
from hub_server import PART_BYTES, TOKEN
from huggingface_hub import HfApi, snapshot_download
from transformers import AutoModel

from musicssl.errors import UserError
from musicssl.publish.push import BackgroundPusher, Retries, push_directory, redact
from musicssl.publish.while_training import push_while_training

REPO = "tester/music"


@pytest.fixture
def tree(tmp_path) -> Path:
    """A small repository tree with a file large enough to go up in parts, and files that must stay behind."""
    directory = tmp_path / "tree"
    (directory / "codebook").mkdir(parents=True)
    (directory / "checkpoint-000010").mkdir()
    (directory / "model.safetensors").write_bytes(os.urandom(3 * PART_BYTES + 17))
    (directory / "codebook" / "centroids.npy").write_bytes(os.urandom(100))
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    (directory / "recipe.yaml").write_text("seed: 1\n")
    (directory / "checkpoint-000010" / "optimizer.bin").write_bytes(b"private to the run")
    (directory / ".lock").write_text("")
    return directory


PUBLISHED = ["README.md", "codebook/centroids.npy", "model.safetensors", "recipe.yaml"]


def test_push_uploads_the_tree_tags_it_and_loads_back(hub, tree, tmp_path):
    lines: list[str] = []
    commit = push_directory(tree, REPO, tag="update-10", report=lines.append)

    api = HfApi(endpoint=hub.url)
    info = api.model_info(REPO)
    assert info.private and info.sha == commit and lines == []
    assert [tag.name for tag in api.list_repo_refs(REPO).tags] == ["update-10"]
    assert sorted(sibling.rfilename for sibling in info.siblings) == PUBLISHED
    assert len(hub.requests("PUT", "/lfs/parts/")) == 4  # the large file went up in parts
    back = Path(snapshot_download(REPO, revision="update-10", endpoint=hub.url, cache_dir=tmp_path / "cache"))
    for name in PUBLISHED:
        assert (back / name).read_bytes() == (tree / name).read_bytes(), name

    # Again, with one small file changed: nothing large travels, the old tag stays where it was.
    (tree / "recipe.yaml").write_text("seed: 2\n")
    push_directory(tree, REPO, tag="update-20")
    assert len(hub.requests("PUT")) == len(hub.requests("PUT", "/lfs/parts/")) + 1 == 5
    tags = {tag.name: tag.target_commit for tag in api.list_repo_refs(REPO).tags}
    assert tags["update-10"] == commit != tags["update-20"]


def test_push_is_private_unless_asked(hub, tree):
    push_directory(tree, "tester/open", private=False)
    push_directory(tree, "tester/closed")
    visibility = {
        name: Repository(hub.root / "repos" / "tester" / name).state["private"] for name in ("open", "closed")
    }
    assert visibility == {"open": False, "closed": True}


def test_push_outlives_a_failing_server_and_says_so(hub, tree):
    lines: list[str] = []
    hub.fail_next(2, "/api/repos/create|/commit/")
    push_directory(tree, REPO, retries=Retries(first_wait_seconds=0.01), report=lines.append)
    assert len(lines) == 2 and "503" in lines[0] and "attempt 2" in lines[0]
    assert sorted(s.rfilename for s in HfApi(endpoint=hub.url).model_info(REPO).siblings) == PUBLISHED

    hub.fail_next(100, "/api/repos/create")
    with pytest.raises(UserError, match="after 2 attempts.*run it again"):
        push_directory(tree, REPO, retries=Retries(2, first_wait_seconds=0.01), report=lines.append)


def test_push_resumes_after_the_server_was_killed_in_mid_upload(hub, tree, tmp_path, monkeypatch):
    """A server process dies with the second large file half uploaded; its successor gets only the rest."""
    (tree / "second.safetensors").write_bytes(os.urandom(2 * PART_BYTES))
    server = [sys.executable, str(Path(hub_server.__file__)), str(tmp_path / "disk")]
    first = subprocess.Popen([*server, "--die_after_parts", "5"], stdout=subprocess.PIPE, text=True)
    url = first.stdout.readline().strip()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    successors: list[subprocess.Popen] = []

    def restart(line: str) -> None:
        """The first complaint of the push brings the server back, on its old port and disk."""
        if not successors:
            assert first.wait(10) == 9
            again = subprocess.Popen([*server, "--port", url.rsplit(":")[-1]], stdout=subprocess.PIPE, text=True)
            successors.append(again)
            again.stdout.readline()

    monkeypatch.setattr("huggingface_hub.lfs.http_backoff", _impatient)
    try:
        push_directory(tree, REPO, retries=Retries(first_wait_seconds=0.01), report=restart)
        names = [sibling.rfilename for sibling in HfApi(endpoint=url).model_info(REPO).siblings]
        assert sorted(names) == sorted([*PUBLISHED, "second.safetensors"]) and len(successors) == 1
    finally:
        for process in (first, *successors):
            process.kill()
            process.wait()
            process.stdout.close()


def _impatient(method: str, url: str, **arguments):
    """`http_backoff` without its half-minute of waiting for a server that is gone."""
    return huggingface_hub.utils.http_backoff(method, url, max_retries=0, **arguments)


@pytest.mark.parametrize(
    ("repo_id", "message"), [("no-owner", "OWNER/NAME"), ("a/b/c", "OWNER/NAME"), ("tester/two..dots", "OWNER/NAME")]
)
def test_a_wrong_id_is_refused_before_any_request(hub, tree, repo_id, message):
    with pytest.raises(UserError, match=message):
        push_directory(tree, repo_id)
    assert hub.log == []


def test_no_token_is_ever_shown(hub, tree, monkeypatch, caplog, capfd):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "s3cr3tS3cr3tS3cr3t" * 2)
    with pytest.raises(UserError, match="hf auth login") as refusal:
        push_directory(tree, REPO, report=print)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.fail_next(1, "/api/repos/create")
    push_directory(tree, REPO, retries=Retries(first_wait_seconds=0.01), report=print)
    shown = str(refusal.value) + caplog.text + "".join(capfd.readouterr())
    assert "s3cr3t" not in shown and TOKEN not in shown
    assert hub.log[-1][2] == f"Bearer {TOKEN}"  # it did travel
    assert redact(f"Bearer {TOKEN} and {TOKEN}!") == "Bearer [token] and [token]!"


def test_background_pusher_never_blocks_and_keeps_the_newest(hub, tree, tmp_path):
    """Three checkpoints while the server is down: the run goes on; what is up in the end is the last one."""
    lines: list[str] = []
    hub.fail_next(10_000)
    failed = threading.Event()

    def report(line: str) -> None:
        lines.append(line)
        if "503" in line:
            failed.set()

    def prepare(snapshot: Path, publish: Path) -> None:
        for name in ("README.md", "recipe.yaml", "model.safetensors"):
            (publish / name).write_bytes((snapshot / name).read_bytes())

    pusher = BackgroundPusher(REPO, prepare, first_wait_seconds=0.01, report=report)
    for update in (1, 2, 3):
        # A checkpoint replaces files by renaming, as training does.
        (tree / "aside").write_text(f"update: {update}\n")
        (tree / "aside").replace(tree / "recipe.yaml")
        pusher.submit(tree, update)
    assert failed.wait(30), lines
    hub.failures_left = 0
    assert pusher.close(timeout_seconds=60)

    assert pusher.pushed[-1] == "update-3"
    tags = {tag.name for tag in HfApi(endpoint=hub.url).list_repo_refs(REPO).tags}
    assert "update-3" in tags and tags == set(pusher.pushed)
    back = Path(snapshot_download(REPO, revision="update-3", endpoint=hub.url, cache_dir=tmp_path / "cache"))
    assert (back / "recipe.yaml").read_text() == "update: 3\n"
    assert [path.name for path in tree.iterdir() if path.name.startswith(".push")] == []


def test_pushing_while_training_sends_every_second_checkpoint_and_the_last(hub, tiny_models, tmp_path):
    """The whole road: a run directory, its published tree, the Hub, and the model back by id."""
    run = tmp_path / "iteration-2"
    tiny_models["musichubert"].save_pretrained(run)
    (run / "metrics.jsonl").write_text('{"update": 10, "loss/total": 5.5}\n')
    with push_while_training(REPO, private=True, every=2) as after_checkpoint:
        for update in (10, 20, 30):
            after_checkpoint(run, update)
            while update == 20 and not hub.requests("POST", "/tag/"):
                time.sleep(0.02)
    tags = [tag.name for tag in HfApi(endpoint=hub.url).list_repo_refs(REPO).tags]
    assert sorted(tags) == ["iteration-2-update-20", "iteration-2-update-30"]

    back = snapshot_download(REPO, revision=tags[-1], endpoint=hub.url, cache_dir=tmp_path / "cache")
    for options in ({}, {"subfolder": "stock"}):
        model = AutoModel.from_pretrained(back, **options)
        expected = tiny_models["musichubert"].base_model.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_pushing_while_training_needs_an_id_before_anything_else():
    for wrong in (None, "no-owner"):
        with pytest.raises(UserError, match="--hub_model_id"), push_while_training(wrong, private=True, every=1):
            raise AssertionError("training began")
