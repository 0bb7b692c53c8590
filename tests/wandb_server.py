"""As much of a Weights & Biases server as `wandb sync` needs, which keeps what it receives."""

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
    """What the server has received of one run.

    Attributes:
        about: Its name, group, tags and the like.
        files: Contents by path, pictures among them.
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
        """The x axis of each metric. W&B numbers its fields: 1 name, 2 pattern, 5 the x axis by its index."""
        definitions = self.config["_wandb"]["m"]
        names = [definition.get("1") or definition["2"] for definition in definitions]
        axes = [names[definition["5"] - 1] if "5" in definition else None for definition in definitions]
        return {name: {"axis": axis} for name, axis in zip(names, axes, strict=True)}


@contextmanager
def serving() -> Iterator[Received]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

        def do_POST(self) -> None:
            content = self.content()
            answer: dict[str, Any] = {}
            with received.lock:
                if self.path == "/graphql":
                    answer = {"data": answer_query(received, json.loads(content))}
                elif self.path.endswith("/file_stream"):
                    history = json.loads(content).get("files", {}).get("wandb-history.jsonl", {})
                    received.history += map(json.loads, history.get("content", []))
            self.answer(answer)

        def do_PUT(self) -> None:
            received.files[self.path.removeprefix("/upload/")] = self.content()
            self.answer({})

        def content(self) -> bytes:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

        def answer(self, data: dict[str, Any]) -> None:
            content = json.dumps(data).encode()
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


def answer_query(received: Received, request: dict[str, Any]) -> dict[str, Any]:
    values = request.get("variables") or {}
    if "upsertBucket" in request["query"]:
        received.about |= {name: text for name, text in values.items() if text and name != "config"}
        config = json.loads(values.get("config") or "{}")
        received.config |= {name: item["value"] for name, item in config.items()}
        project = {"id": "p", "name": values["project"], "entity": {"id": "e", "name": "me"}}
        names = {"name": values["name"], "displayName": values["displayName"]}
        bucket = {"id": "b", **names, "project": project}
        return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}
    if "createRunFiles" in request["query"]:
        files = [{"name": name, "uploadUrl": f"{received.address}/upload/{name}"} for name in values["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
    if "upsertView" in request["query"]:
        received.views.append(json.loads(values["spec"]))
        return {"upsertView": {"view": {"id": "v", "name": values["name"]}, "inserted": True}}
    viewer = {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
    return {"serverInfo": {"features": []}, "viewer": viewer}
