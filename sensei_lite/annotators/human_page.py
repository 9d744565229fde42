"""The reader answers outside a notebook: a page on this computer, for the command line.

A terminal shows no pictures well, and not every computer has a window for them; but every one has a browser. So a small
web server of the standard library, on 127.0.0.1 alone, serves the notebook panel's own JavaScript, and takes its
messages by HTTP. The address has a secret in it, so that no other page that is open in the browser can answer.
"""

import http.server
import json
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sensei_lite.annotators.base import Annotator, Reply
from sensei_lite.annotators.data import check_images
from sensei_lite.annotators.human import QUESTION, HumanSession, question_hash, shown_width

_HERE = Path(__file__).parent
_LONGEST_MESSAGE = 1000
"""Bytes; what the page sends is far shorter."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sensei_lite: annotate</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="human.css">
<style>
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 8px; max-width: 740px; background: Canvas; color: CanvasText;
  font: 16px/1.4 system-ui, sans-serif; }
</style>
<main id="panel"></main>
<noscript>This page needs JavaScript.</noscript>
<script type="module">
import panel from "./human.js";
const state = await (await fetch("state")).json();
const listeners = new Set();
const model = {
  get: (name) => state[name],
  on: (_, listener) => listeners.add(listener),
  off: (_, listener) => listeners.delete(listener),
  async send(message) {
    try {
      const reply = await fetch("do", { method: "POST", body: JSON.stringify(message) });
      if (!reply.ok) throw new Error(reply.status);
      state.frame = await reply.json();
    } catch {
      const problem = "The command that opened this page has ended, or cannot be reached. Run it again to go on.";
      state.frame = { ...state.frame, problem };
    }
    for (const listener of listeners) listener();
  },
};
panel.render({ model, el: document.getElementById("panel") });
</script>
</html>
"""


class HumanAnnotator(Annotator):
    """Asks the person at this computer, on a page in the browser.

    The page comes with the first question and goes when all are answered, or when whoever asks stops (Ctrl-C). The last
    answer can be taken back until the next one is given: only then is it handed over, or at the end, or at Ctrl-C.

    Args:
        person: whose answers they are: the annotator's version.
        question: what the person is asked; its hash is the ``prompt_hash``.
        port: where the page is served; 0 takes any that is free.
        open_browser: open the page; it is not tried where there is no screen.
        announce: is told the page's address.
    """

    name = "human"
    chunk = 500
    """More than anyone answers at once: a page is one call of `annotate`, and its progress counts these."""

    def __init__(
        self,
        person: str = "reader",
        *,
        question: str = QUESTION,
        port: int = 0,
        open_browser: bool = True,
        announce: Callable[[str], object] = lambda words: print(words, file=sys.stderr, flush=True),
    ) -> None:
        self.version, self.prompt_hash = person, question_hash(question)
        self.question, self._port = question, port
        self._open_browser, self._announce = open_browser, announce

    def annotate(self, images_a: np.ndarray, images_b: np.ndarray) -> Iterator[tuple[int, Reply]]:
        """See `Annotator.annotate`. Raises OSError where the port is taken."""
        check_images(images_a)
        check_images(images_b)
        if images_a.shape != images_b.shape:
            raise ValueError(f"first pictures are {list(images_a.shape)}, second ones {list(images_b.shape)}")
        return self._annotate(images_a, images_b) if len(images_a) else iter(())

    def _annotate(self, images_a: np.ndarray, images_b: np.ndarray) -> Iterator[tuple[int, Reply]]:
        number, given, taken = len(images_a), _Given(), 0
        page = _Page(np.concatenate([images_a, images_b]), number, given, self.question, self._port)
        try:
            self._announce(f"Answer on this page: {page.address} (Ctrl-C stops, and what was answered is kept)")
            if self._open_browser and _has_screen():
                webbrowser.open(page.address)
            while taken < number:
                given.wait_for_more_than(taken)
                yield given.answers[taken]
                taken += 1
        except KeyboardInterrupt:
            # Answers may have come that nobody has waited for yet.
            yield from given.answers[taken:]
            if last := page.take_last():
                yield last
            raise
        finally:
            page.close()


class _Given:
    """Answers in the order in which they came. None is ever removed: Ctrl-C in the midst of a removal would lose it."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Reply]] = []
        self._more = threading.Event()

    def put(self, answer: tuple[int, Reply]) -> None:
        """Add one, and wake whoever waits."""
        self.answers.append(answer)
        self._more.set()

    def wait_for_more_than(self, number: int) -> None:
        """Return when there are more than ``number``."""
        while len(self.answers) <= number:
            self._more.wait(timeout=0.25)  # on Windows, Ctrl-C ends no wait without a limit
            self._more.clear()


class _Page:
    """The page with its server, from the making until `close`."""

    def __init__(self, images: np.ndarray, number: int, given: _Given, question: str, port: int) -> None:
        self._given, self._number = given, number
        self._held: tuple[int, Reply] | None = None
        self._lock = threading.Lock()
        self._width = shown_width(images)
        pairs = np.stack([np.arange(number), number + np.arange(number)], 1)
        self.session = HumanSession(images, pairs, self._record, forget=self._forget, undo_answers=1, question=question)
        secret = f"/{secrets.token_urlsafe(12)}/"
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _handler(self, secret))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}{secret}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def state(self) -> dict[str, Any]:
        """What the page needs to begin, or to go on after it was loaded again."""
        with self._lock:
            frame = self.session.frame()
        return {"question": self.session.question, "width": self._width, "whole_page": True, "frame": frame}

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what the page sent, and say what it shows next."""
        with self._lock:
            self.session.handle(message)
            return self.session.frame() | ({"can_undo": False} if self.session.current is None else {})

    def hand_over_last(self) -> None:
        """When all are answered nothing waits for the next one. Called when the page has been told, or cannot be."""
        if self.session.current is None and (last := self.take_last()):
            self._given.put(last)

    def take_last(self) -> tuple[int, Reply] | None:
        """The answer that was not handed over yet, if there is one; it cannot be taken back any more."""
        with self._lock:
            last, self._held = self._held, None
            return last

    def _record(self, index: int, reply: Reply) -> None:
        if self._held:
            self._given.put(self._held)
        self._held = (index, reply)

    def _forget(self, index: int) -> None:
        self._held = None


def _handler(page: _Page, secret: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10  # a browser opens connections that it may never use

        def do_GET(self) -> None:
            name = self.path.removeprefix(secret) if self.path.startswith(secret) else "?"
            if name == "":
                self._send("text/html", _PAGE)
            elif name in ("human.js", "human.css"):
                kind = "text/javascript" if name == "human.js" else "text/css"
                self._send(kind, (_HERE / name).read_text(encoding="utf-8"))
            elif name == "state":
                self._send("application/json", json.dumps(page.state()))
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            if self.path != secret + "do":
                self.send_error(404)
                return
            try:
                length = int(self.headers.get("Content-Length", ""))
                message = json.loads(self.rfile.read(length)) if 0 <= length <= _LONGEST_MESSAGE else None
            except ValueError:
                message = None
            if not isinstance(message, dict):
                self.send_error(400)
                return
            try:
                self._send("application/json", json.dumps(page.handle(message)))
            finally:
                page.hand_over_last()

        def _send(self, kind: str, words: str) -> None:
            body = words.encode()
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """The terminal shows the progress of answering, not of HTTP."""

    return Handler


def _has_screen() -> bool:
    """Whether a browser has somewhere to be shown: without, Python might start one that takes over the terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
