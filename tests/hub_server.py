"""A hub of models on this machine: as much of its protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


class Hub(ThreadingHTTPServer):
    """Serves the files of one folder as the repository `name`, and notes what is asked for."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.name, self.folder = name, folder
        self.fetched: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub(name: str, folder: Path) -> Iterator[Hub]:
    server = Hub(name, folder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Request(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        path, name = unquote(urlsplit(self.path).path), self.server.name
        if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
            self._say({"id": name, "modelId": name, "sha": COMMIT, "siblings": self._siblings()})
        elif path.startswith(f"/api/models/{name}/tree/"):
            self._say(self._tree())
        elif path.startswith(f"/{name}/resolve/"):
            self._send(path.split("/", 5)[-1], with_body)
        else:
            self._say({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _files(self) -> list[Path]:
        return sorted(path for path in self.server.folder.rglob("*") if path.is_file())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.server.folder).as_posix()

    def _siblings(self) -> list[dict[str, str]]:
        return [{"rfilename": self._name(path)} for path in self._files()]

    def _tree(self) -> list[dict[str, object]]:
        return [
            {
                "type": "file",
                "path": self._name(path),
                "size": path.stat().st_size,
                "oid": _digest(path),
            }
            for path in self._files()
        ]

    def _send(self, file: str, with_body: bool) -> None:
        path = self.server.folder / file
        if not path.is_file():
            self._say({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{_digest(path)}"', "X-Repo-Commit": COMMIT}
        if with_body:
            self.server.fetched.append(file)
        self._reply(path.read_bytes(), 200, headers, with_body)

    def _say(
        self, answer: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        kind = {"Content-Type": "application/json"}
        self._reply(json.dumps(answer).encode(), status, kind | (headers or {}), True)

    def _reply(self, body: bytes, status: int, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body and self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
