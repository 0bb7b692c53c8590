"""As much of a Weights & Biases server as `wandb sync` needs to bring a run there, and what came of it."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCOUNT = {"WANDB_API_KEY": "0123456789" * 4}


@dataclass
class Received:
    """What a run's page would show.

    Attributes:
        about: Its name, group, tags and the like.
        metrics: How its metrics are drawn and summed up, by their names.
        files: By their paths, pictures among them.
        views: Workspaces that were saved.
    """

    address: str
    about: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    views: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        return {**ACCOUNT, "WANDB_BASE_URL": self.address}

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.files["wandb-summary.json"])

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """W&B numbers their fields: 1 is a name, 2 a pattern, 5 the place of the x axis in the list."""
        told = self.config["_wandb"]["m"]
        names = [each.get("1") or each["2"] for each in told]
        axes = [names[each["5"] - 1] if "5" in each else None for each in told]
        return {name: {"axis": axis} for name, axis in zip(names, axes, strict=True)}


@contextmanager
def serving() -> Iterator[Received]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *told: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

        def do_POST(self) -> None:
            content = self.content()
            answer: dict[str, Any] = {}
            with received.lock:
                if self.path == "/graphql":
                    answer = {"data": answered(received, json.loads(content))}
                elif self.path.endswith("/file_stream"):
                    told = json.loads(content).get("files", {}).get("wandb-history.jsonl", {})
                    received.history += map(json.loads, told.get("content", []))
            self.answer(answer)

        def do_PUT(self) -> None:
            received.files[self.path.removeprefix("/upload/")] = self.content()
            self.answer({})

        def content(self) -> bytes:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

        def answer(self, told: dict[str, Any]) -> None:
            content = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Received(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


def answered(received: Received, asked: dict[str, Any]) -> dict[str, Any]:
    told = asked.get("variables") or {}
    if "upsertBucket" in asked["query"]:
        received.about |= {name: value for name, value in told.items() if value and name != "config"}
        config = json.loads(told.get("config") or "{}")
        received.config |= {name: each["value"] for name, each in config.items()}
        project = {"id": "p", "name": told["project"], "entity": {"id": "e", "name": "me"}}
        bucket = {"id": "b", "name": told["name"], "displayName": told["displayName"], "project": project}
        return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}
    if "createRunFiles" in asked["query"]:
        files = [{"name": name, "uploadUrl": f"{received.address}/upload/{name}"} for name in told["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
    if "upsertView" in asked["query"]:
        received.views.append(json.loads(told["spec"]))
        return {"upsertView": {"view": {"id": "v", "name": told["name"]}, "inserted": True}}
    viewer = {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
    return {"serverInfo": {"features": []}, "viewer": viewer}
