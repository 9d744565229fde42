"""A real chat server on loopback: it answers, waits, limits, fails and cuts as a test says, and logs all questions."""

import base64
import contextlib
import hashlib
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


@dataclass
class Asked:
    """One request as it arrived."""

    number: int
    body: dict
    authorization: str
    images: list[np.ndarray]
    words: str

    @property
    def question(self) -> tuple[str, ...]:
        """Which pictures, in which order."""
        return tuple(hashlib.sha256(image.tobytes()).hexdigest() for image in self.images)

    @property
    def describes(self) -> bool:
        return len(self.images) == 1


@dataclass
class Served:
    """What to send back."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: str = ""
    """``before``: close the connection without a word. ``within``: in the middle of the body."""


def says(text: str | None, *, usage: tuple[int, int] | None = (100, 10), **message: object) -> Served:
    reply: dict = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "served",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
        ],
    }
    if usage:
        reply["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return Served(body=json.dumps(reply))


def chooses(answer: str) -> Served:
    return says(json.dumps({"answer": answer}))


def fails(status: int, message: str = "it failed", code: str | None = None, **headers: str) -> Served:
    error = {"error": {"message": message, "type": "error", "code": code}}
    return Served(status, json.dumps(error), {name.replace("_", "-"): value for name, value in headers.items()})


def brighter(asked: Asked) -> Served:
    """Answer truthfully: the brighter picture is the more interesting one."""
    first, second = (float(image.mean()) for image in asked.images)
    return chooses("first" if first > second else "second" if second > first else "both")


class ChatServer:
    """What was asked so far, and the most requests that were under way at once."""

    def __init__(self, respond: Callable[[Asked], Served]) -> None:
        self._in_flight = 0
        self._lock = threading.Lock()
        self.url = ""
        self.reset(respond)

    def reset(self, respond: Callable[[Asked], Served]) -> None:
        """Forget what was asked, for the next test."""
        self.respond = respond
        self.asked: list[Asked] = []
        self.answered: list[tuple[str, ...]] = []
        self.most_in_flight = 0

    @property
    def calls(self) -> int:
        return len(self.asked)

    def _take(self, handler: BaseHTTPRequestHandler) -> Asked:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        parts = [part for m in body["messages"] for part in (m["content"] if isinstance(m["content"], list) else [])]
        uris = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        assert all(uri.startswith("data:image/png;base64,") for uri in uris)
        images = [np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))) for uri in uris]
        with self._lock:
            asked = Asked(
                len(self.asked), body, handler.headers.get("Authorization", ""), images, json.dumps(body["messages"])
            )
            self.asked.append(asked)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        return asked

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        asked = self._take(handler)
        try:
            served = self.respond(asked)
        finally:
            with self._lock:
                self._in_flight -= 1
        body = served.body.encode()
        if served.cut != "before":
            handler.send_response(served.status)
            for name, value in {"Content-Type": "application/json", **served.headers}.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body[: len(body) // 2] if served.cut else body)
        if served.cut:
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            with self._lock:
                self.answered.append(asked.question)


@contextlib.contextmanager
def chat_server(respond: Callable[[Asked], Served]) -> Iterator[ChatServer]:
    state = ChatServer(respond)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            with contextlib.suppress(ConnectionError):  # whoever asked is gone
                assert self.path == "/v1/chat/completions"
                state._serve(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
