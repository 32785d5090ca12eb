"""A read-only Hub on the loopback: what `datasets` and `huggingface_hub` ask to list and read a data set."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Serves the folders of `server.datasets`, by id; keeps the bytes it sent in `server.bytes_sent`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        for name, folder in self.server.datasets.items():
            if path in (f"/api/datasets/{name}", f"/api/datasets/{name}/revision/main"):
                return self.reply_json(self.info(name, folder))
            if path == f"/api/datasets/{name}/revision/{COMMIT}":
                return self.reply_json(self.info(name, folder))
            tree = re.fullmatch(rf"/api/datasets/{name}/tree/[^/]+/?(.*)", path)
            if tree:
                return self.reply_json(self.tree(folder, tree[1]))
            if re.fullmatch(rf"/api/datasets/{name}/paths-info/[^/]+", path):
                wanted = json.loads(self.body)["paths"]
                return self.reply_json([entry for entry in self.tree(folder, "") if entry["path"] in wanted])
            file = re.fullmatch(rf"/datasets/{name}/resolve/[^/]+/(.+)", path)
            if file and (folder / file[1]).is_file():
                return self.reply_file((folder / file[1]).read_bytes())
        self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound" if "/resolve/" not in path else "EntryNotFound"})

    def info(self, name: str, folder: Path) -> dict:
        files = [entry["path"] for entry in self.tree(folder, "") if entry["type"] == "file"]
        return {"id": name, "sha": COMMIT, "private": False, "siblings": [{"rfilename": file} for file in files]}

    def tree(self, folder: Path, below: str) -> list[dict]:
        entries = []
        for path in sorted((folder / below).rglob("*")):
            name = path.relative_to(folder).as_posix()
            oid = hashlib.sha1(name.encode()).hexdigest()
            kind, size = ("directory", 0) if path.is_dir() else ("file", path.stat().st_size)
            entries.append({"type": kind, "path": name, "oid": oid, "size": size})
        return entries

    def reply_file(self, content: bytes) -> None:
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not wanted:
            return self.reply(200, content, headers)
        first, last = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self.reply(206, content[first : last + 1], headers)

    def reply_json(self, content: dict | list) -> None:
        self.reply(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.server.bytes_sent += len(body)


def serve(datasets: dict[str, Path]) -> ThreadingHTTPServer:
    """Serve folders under data set ids on a free port, in a thread; `.url` is the endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.datasets, server.bytes_sent = datasets, 0
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
