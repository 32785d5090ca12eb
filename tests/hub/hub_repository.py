"""What the loopback Hub keeps on disk: branches and tags point to commits, a commit is a table of paths."""

import base64
import hashlib
import json
import os
from pathlib import Path


def git_blob_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubError(Exception):
    """A refusal with its HTTP status and, where the Hub has one, its X-Error-Code."""

    def __init__(self, status: int, message: str, code: str | None = None):
        super().__init__(message)
        self.status, self.code = status, code


class Repository:
    """One model repository: branches and tags point to commits, a commit is a table of paths."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.state_file = directory / "repository.json"

    @property
    def exists(self) -> bool:
        return self.state_file.is_file()

    @property
    def state(self) -> dict:
        return json.loads(self.state_file.read_text())

    def create(self, private: bool) -> None:
        for name in ("commits", "blobs"):
            (self.directory / name).mkdir(parents=True)
        first = self.commit({}, "initial commit")
        self.write_state({"private": private, "branches": {"main": first}, "tags": {}})

    def write_state(self, state: dict) -> None:
        aside = self.state_file.with_suffix(".tmp")
        aside.write_text(json.dumps(state))
        aside.replace(self.state_file)

    def commit(self, files: dict, message: str) -> str:
        body = json.dumps({"files": files, "message": message}, sort_keys=True).encode()
        oid = hashlib.sha1(body + os.urandom(8)).hexdigest()
        (self.directory / "commits" / f"{oid}.json").write_bytes(body)
        return oid

    def resolve(self, revision: str) -> str:
        state = self.state
        oid = state["branches"].get(revision) or state["tags"].get(revision) or revision
        if not (self.directory / "commits" / f"{oid}.json").is_file():
            raise HubError(404, f"no revision {revision}", "RevisionNotFound")
        return oid

    def files(self, revision: str) -> dict:
        commit = self.directory / "commits" / f"{self.resolve(revision)}.json"
        return json.loads(commit.read_text())["files"]

    def apply(self, revision: str, lines: list[dict], objects: Path) -> str:
        state = self.state
        if revision not in state["branches"]:
            raise HubError(404, f"no branch {revision}", "RevisionNotFound")
        files = self.files(revision)
        message = ""
        for line in lines:
            key, value = line["key"], line["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                content = base64.b64decode(value["content"])
                oid = git_blob_oid(content)
                (self.directory / "blobs" / oid).write_bytes(content)
                files[value["path"]] = {"oid": oid, "size": len(content)}
            elif key == "lfsFile":
                if not (objects / value["oid"]).is_file():
                    raise HubError(400, f"LFS object {value['oid']} was never uploaded")
                pointer = git_blob_oid(f"oid sha256:{value['oid']}\nsize {value['size']}\n".encode())
                files[value["path"]] = {"oid": pointer, "size": value["size"], "sha256": value["oid"]}
            elif key == "deletedFile":
                files.pop(value["path"])
            elif key == "deletedFolder":
                files = {path: entry for path, entry in files.items() if not path.startswith(value["path"])}
            else:
                raise HubError(400, f"unknown operation {key}")
        state["branches"][revision] = self.commit(files, message)
        self.write_state(state)
        return state["branches"][revision]
