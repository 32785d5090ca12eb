"""A small Hub on the loopback: what `huggingface_hub` asks to make, fill and read a model repository.

Everything lives on disk under one root, so a server that was killed and started again goes on where it stood:

    objects/SHA256              large files (git-LFS objects)
    parts/SHA256/N              parts of a large file whose upload is not complete
    repos/OWNER/NAME/           repository.json (branches, tags, visibility), commits/OID.json, blobs/OID

`python tests/hub/hub_server.py ROOT [--port N]` runs it as a process; `HubServer` in a thread.
"""

import argparse
import hashlib
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_repository import HubError, Repository

TOKEN = "hf_loopbackonlyloopbackonlyloopback"  # the one token that may write, or read what is private
PART_BYTES = 64 * 1024  # a file above this size goes up in parts, as a file above 5 GB does on the Hub
LARGE_SUFFIXES = (".safetensors", ".npy", ".npz", ".png", ".onnx")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    routes: list[tuple[str, re.Pattern, str]] = []

    def log_message(self, *arguments) -> None:
        """Requests are kept in `server.log`, not printed."""

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self.read_chunked()
        url = urlsplit(self.path)
        self.server.log.append((self.command, url.path, self.headers.get("Authorization")))
        try:
            self.server.maybe_fail(self.command, url.path)
            self.route(unquote(url.path), parse_qs(url.query), body)
        except HubError as error:
            headers = {"X-Error-Code": error.code} if error.code else {}
            self.reply({"error": str(error)}, error.status, {"X-Error-Message": str(error), **headers})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def read_chunked(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def reply(self, content: dict | list | bytes, status: int = 200, headers: dict | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def route(self, path: str, query: dict, body: bytes) -> None:
        for method, pattern, name in self.routes:
            match = pattern.fullmatch(path)
            if match and method == ("GET" if self.command == "HEAD" else self.command):
                getattr(self, name)(query=query, body=body, **match.groupdict())
                return
        raise HubError(404, f"no such page: {self.command} {path}")

    def repository(self, repo: str, write: bool = False) -> Repository:
        repository = Repository(self.server.root / "repos" / repo)
        signed_in = self.headers.get("Authorization") == f"Bearer {self.server.token}"
        if write and not signed_in:
            raise HubError(401, "Invalid username or password.")
        if not repository.exists or (repository.state["private"] and not signed_in):
            raise HubError(404 if signed_in else 401, "Repository Not Found", "RepoNotFound")
        return repository

    def whoami(self, **_) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            raise HubError(401, "Invalid username or password.")
        self.reply({"type": "user", "name": "tester", "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    def create(self, query, body) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            raise HubError(401, "Invalid username or password.")
        request = json.loads(body)
        name = f"{request.get('organization') or 'tester'}/{request['name']}"
        repository = Repository(self.server.root / "repos" / name)
        if repository.exists:
            refusal = {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"}
            return self.reply(refusal, 409)
        repository.create(private=request.get("visibility") == "private")
        self.reply({"url": f"{self.server.url}/{name}", "name": name, "id": name})

    def validate_yaml(self, query, body) -> None:
        content = json.loads(body)["content"]
        block = re.match(r"---\n(.*?)\n---", content, re.DOTALL)
        try:
            metadata = yaml.safe_load(block[1]) if block else {}
            errors = [] if isinstance(metadata, dict) else [{"message": "metadata is not a mapping"}]
        except yaml.YAMLError as error:
            errors = [{"message": str(error)}]
        self.reply({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, query, body, repo, revision) -> None:
        known = self.repository(repo, write=True).files(revision)
        answer = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith(LARGE_SUFFIXES)
            entry = known.get(file["path"], {})
            answer.append({
                "path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False,
                "oid": entry.get("sha256") or entry.get("oid"),
            })  # fmt: skip
        self.reply({"files": answer})

    def lfs_batch(self, query, body, repo) -> None:
        self.repository(repo, write=True)
        answer = []
        for wanted in json.loads(body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if not (self.server.root / "objects" / wanted["oid"]).is_file():
                upload = {"href": f"{self.server.url}/lfs/objects/{wanted['oid']}"}
                if wanted["size"] > PART_BYTES:
                    parts = range(1, -(-wanted["size"] // PART_BYTES) + 1)
                    upload = {
                        "href": f"{self.server.url}/lfs/complete/{wanted['oid']}",
                        "header": {"chunk_size": str(PART_BYTES)}
                        | {str(n): f"{self.server.url}/lfs/parts/{wanted['oid']}/{n}" for n in parts},
                    }
                entry["actions"] = {"upload": upload}
            answer.append(entry)
        self.reply({"transfer": "multipart", "objects": answer})

    def put_part(self, query, body, oid, number) -> None:
        folder = self.server.root / "parts" / oid
        folder.mkdir(parents=True, exist_ok=True)
        (folder / number).write_bytes(body)
        self.server.part_arrived()
        self.reply({}, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def complete(self, query, body, oid) -> None:
        folder = self.server.root / "parts" / oid
        numbers = [str(part["partNumber"]) for part in json.loads(body)["parts"]]
        self.store_object(oid, b"".join((folder / number).read_bytes() for number in numbers))

    def put_object(self, query, body, oid) -> None:
        self.store_object(oid, body)

    def store_object(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise HubError(400, "content does not match its sha256")
        objects = self.server.root / "objects"
        (objects / f"{oid}.tmp").write_bytes(content)
        (objects / f"{oid}.tmp").replace(objects / oid)
        self.reply({})

    def commit(self, query, body, repo, revision) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        oid = self.repository(repo, write=True).apply(revision, lines, self.server.root / "objects")
        self.reply({"success": True, "commitOid": oid, "commitUrl": f"{self.server.url}/{repo}/commit/{oid}"})

    def tag(self, query, body, repo, revision) -> None:
        repository = self.repository(repo, write=True)
        name, state = json.loads(body)["tag"], repository.state
        if name in state["tags"]:
            raise HubError(409, f"Tag {name} already exists")
        state["tags"][name] = repository.resolve(revision)
        repository.write_state(state)
        self.reply({})

    def refs(self, query, body, repo) -> None:
        state = self.repository(repo).state
        entries = {
            kind: [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": oid} for n, oid in state[kind].items()]
            for kind in ("branches", "tags")
        }
        self.reply({**entries, "converts": []})

    def info(self, query, body, repo, revision="main") -> None:
        repository = self.repository(repo)
        oid = repository.resolve(revision)
        siblings = [{"rfilename": path} for path in repository.files(oid)]
        self.reply({
            "id": repo, "modelId": repo, "sha": oid, "private": repository.state["private"], "tags": [],
            "downloads": 0, "likes": 0, "siblings": siblings,
        })  # fmt: skip

    def tree(self, query, body, repo, revision, folder="") -> None:
        files = self.repository(repo).files(revision)
        prefix = f"{folder}/" if folder else ""
        self.reply([self.entry(path, entry) for path, entry in sorted(files.items()) if path.startswith(prefix)])

    def paths_info(self, query, body, repo, revision) -> None:
        files = self.repository(repo).files(revision)
        text = body.decode()
        paths = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text).get("paths", [])
        self.reply([self.entry(path, files[path]) for path in paths if path in files])

    @staticmethod
    def entry(path: str, entry: dict) -> dict:
        row = {"type": "file", "path": path, "oid": entry["oid"], "size": entry["size"]}
        if "sha256" in entry:
            row["lfs"] = {"oid": entry["sha256"], "size": entry["size"], "pointerSize": 134}
        return row

    def download(self, query, body, repo, revision, path) -> None:
        repository = self.repository(repo)
        oid = repository.resolve(revision)
        entry = repository.files(oid).get(path)
        if entry is None:
            raise HubError(404, f"no file {path}", "EntryNotFound")
        large = "sha256" in entry
        folder = self.server.root / "objects" if large else repository.directory / "blobs"
        etag = entry["sha256"] if large else entry["oid"]
        content = (folder / etag).read_bytes()
        headers = {"X-Repo-Commit": oid, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if span:
            first, last = int(span[1]), int(span[2]) if span[2] else len(content) - 1
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            return self.reply(content[first : last + 1], 206, headers)
        self.reply(content, headers={"Content-Type": "application/octet-stream", **headers})


REPO = r"(?P<repo>[^/]+/[^/]+)"
Handler.routes = [
    (method, re.compile(pattern), name)
    for method, pattern, name in [
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("POST", rf"/api/models/{REPO}/preupload/(?P<revision>.+)", "preupload"),
        ("POST", rf"/api/models/{REPO}/commit/(?P<revision>.+)", "commit"),
        ("POST", rf"/api/models/{REPO}/tag/(?P<revision>.+)", "tag"),
        ("GET", rf"/api/models/{REPO}/refs", "refs"),
        ("GET", rf"/api/models/{REPO}/revision/(?P<revision>.+)", "info"),
        ("GET", rf"/api/models/{REPO}/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?", "tree"),
        ("POST", rf"/api/models/{REPO}/paths-info/(?P<revision>.+)", "paths_info"),
        ("GET", rf"/api/models/{REPO}", "info"),
        ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/parts/(?P<oid>[0-9a-f]{64})/(?P<number>\d+)", "put_part"),
        ("POST", r"/lfs/complete/(?P<oid>[0-9a-f]{64})", "complete"),
        ("PUT", r"/lfs/objects/(?P<oid>[0-9a-f]{64})", "put_object"),
        ("GET", rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "download"),
    ]
]


class HubServer(ThreadingHTTPServer):
    """The loopback Hub; `fail_next` makes the next requests fail as a server that is down does.

    Args:
        root: where repositories and large files are kept.
        port: 0 takes a free one.
        die_after_parts: end the process, without a word, once so many parts of large files have arrived.
    """

    daemon_threads = True

    def __init__(self, root: Path, port: int = 0, die_after_parts: int | None = None):
        super().__init__(("127.0.0.1", port), Handler)
        self.root, self.token, self.die_after_parts = Path(root), TOKEN, die_after_parts
        (self.root / "objects").mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.log: list[tuple[str, str, str | None]] = []
        self.failures_left, self.failing_path = 0, re.compile("")
        self.lock = threading.Lock()

    def fail_next(self, count: int, path: str = "") -> None:
        """Answer the next `count` requests whose path matches `path` with status 503."""
        self.failures_left, self.failing_path = count, re.compile(path)

    def maybe_fail(self, method: str, path: str) -> None:
        with self.lock:
            if self.failures_left and self.failing_path.search(path):
                self.failures_left -= 1
                raise HubError(503, "the server is down")

    def part_arrived(self) -> None:
        with self.lock:
            if self.die_after_parts is not None:
                self.die_after_parts -= 1
                if self.die_after_parts == 0:
                    os._exit(9)

    def requests(self, method: str, path: str = "") -> list[str]:
        """The paths of the requests of one method seen so far."""
        return [seen for verb, seen, _ in self.log if verb == method and re.search(path, seen)]

    def __enter__(self) -> "HubServer":
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--die_after_parts", type=int)
    options = parser.parse_args()
    server = HubServer(options.root, options.port, options.die_after_parts)
    print(server.url, flush=True)
    server.serve_forever()
