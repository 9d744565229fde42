"""Look at the built book as a reader's browser does: ``make check-book`` (needs Chromium).

Every page, at phone and desktop width, light and dark: no error in the console, no request to another host, no picture
without alt text, no link or anchor that leads nowhere, no page wider than the screen, nothing that axe-core objects to.
Then what is alive: the dream's numbers are compared with JAX's, its keys are pressed, and a step is timed; the knobs of
the switch are turned, and the annotator's pairs answered.
"""

import dataclasses
import functools
import gzip
import http.server
import json
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import run
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import numpy as np
import tyro
from bs4 import BeautifulSoup
from playwright.sync_api import Page, Response, sync_playwright

ROOT = Path(__file__).resolve().parents[3]
AXE = "axe-core@4.10.3"
QUIET = ("Got invalid theme mode",)
"""What the theme says in the console on a first visit."""
FIRST_PAGE_KB = 1000


@dataclasses.dataclass(frozen=True)
class Check:
    """What to look at."""

    html: Path = ROOT / "build" / "book" / "html"
    """The built book."""
    chromium: str | None = None
    """The browser's program; otherwise the one on the path."""
    screenshots: Path | None = None
    """Where to keep a picture of every page."""
    only: str = ""
    """Only pages whose name has this in it."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the folder: its address on this machine, while the block lasts."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def pages_of(html: Path) -> list[Path]:
    """List the book's pages, without the theme's templates."""
    return sorted(path for path in html.rglob("*.html") if "_static" not in path.relative_to(html).parts)


def broken_links(html: Path) -> list[str]:
    """Links and sources between the book's own pages that lead nowhere, anchors included."""
    pages = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in pages_of(html)}
    anchors = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    wrong = []
    for path, page in pages.items():
        here = f"http://book/{path.relative_to(html).as_posix()}"
        for tag in page.find_all(["a", "img", "script", "link", "video"]):
            link = tag.get("href") or tag.get("src")
            if not link or "://" in link or link.startswith(("mailto:", "data:", "javascript:")):
                continue
            address, anchor = urldefrag(urljoin(here, link))
            target = html / unquote(address.removeprefix("http://book/").partition("?")[0])
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                wrong.append(f"{path.relative_to(html)}: {link} leads nowhere")
            elif anchor and target in anchors and unquote(anchor) not in anchors[target]:
                wrong.append(f"{path.relative_to(html)}: {link}: there is no such anchor")
    return wrong


def axe_source() -> str:
    """axe-core's program, from npm."""
    with tempfile.TemporaryDirectory() as place:
        run(["npm", "pack", AXE, "--pack-destination", place, "--silent"], check=True, capture_output=True)
        with tarfile.open(next(Path(place).glob("*.tgz"))) as archive:
            file = archive.extractfile("package/axe.min.js")
            assert file is not None
            return file.read().decode()


def look(page: Page, address: str, axe: str) -> list[str]:
    """List what is wrong with one page."""
    wrong: list[str] = []
    host = address.split("/")[2]
    page.on(
        "request",
        lambda r: None if host in r.url or r.url.startswith(("data:", "blob:")) else wrong.append(f"asks {r.url}"),
    )
    page.on("console", lambda m: wrong.append(f"console: {m.text[:200]}") if m.type in ("error", "warning") else None)
    page.on("response", lambda r: wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {str(error)[:200]}"))
    page.goto(address, wait_until="load")
    page.wait_for_timeout(400)
    wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
    if wide > 0:
        wrong.append(f"is {wide} pixels wider than the screen")
    wrong += [
        f"no alt text: {src[-60:]}"
        for src in page.evaluate("[...document.images].filter(i => !i.hasAttribute('alt')).map(i => i.src)")
    ]
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    for violation in found["violations"]:
        if violation["impact"] in ("serious", "critical"):
            wrong.append(
                f"axe, {violation['id']}: {violation['nodes'][0]['target']} and {len(violation['nodes']) - 1} more"
            )
    return [one for one in wrong if not any(quiet in one for quiet in QUIET)]


def first_load_kb(page: Page, address: str) -> float:
    """Measure what a reader of the first page has to load, in kB; texts are sent compressed, as any web host does."""
    sizes: list[int] = []

    def count(response: Response) -> None:
        body = response.body()
        sizes.append(len(body) if response.url.endswith((".woff2", ".png")) else len(gzip.compress(body)))

    page.on("response", count)
    page.goto(address, wait_until="networkidle")
    return sum(sizes) / 1000


def check_dream(page: Page, base: str, html: Path) -> list[str]:
    """Check the browser's numbers against JAX's, the keys, and the time of a step."""
    page.goto(f"{base}/dream.html")
    page.click(".dream-begin")
    page.wait_for_selector(".dream-live:not([hidden])", timeout=60_000)
    wrong, differences = [], []
    rows: list[dict[str, Any]] = json.loads((html / "_static/live/reference.json").read_text())
    script = """async (given) => {
        const out = await dreamPage.dream.step(given.h, given.z, given.action, given.uniform);
        return Object.fromEntries(Object.entries(out).map(([name, values]) => [name, Array.from(values)]));
    }"""
    for row in rows:
        found = page.evaluate(script, row["inputs"])
        found["picture"] = found["picture"][::97]
        for name, wanted in row["outputs"].items():  # relative where a number is larger than 1
            differences.append((np.abs(np.subtract(found[name], wanted)) / np.maximum(1, np.abs(wanted))).max())
    if max(differences) > 1e-4:
        wrong.append(f"dream: differs from JAX by {max(differences):.2g}")
    page.focus("#dream canvas")
    before = page.evaluate("document.querySelector('#dream canvas').toDataURL()")
    for key in ("ArrowUp", "ArrowLeft", " "):
        page.keyboard.press(key)
        page.wait_for_timeout(150)
    if page.evaluate("document.querySelector('#dream canvas').toDataURL()") == before:
        wrong.append("dream: the keys do nothing")
    if "Step" not in page.inner_text(".dream-status"):
        wrong.append("dream: it does not say what happens")
    timed = """async (given) => {
        const began = performance.now();
        for (let i = 0; i < 50; i++) await dreamPage.dream.step(given.h, given.z, given.action, given.uniform);
        return (performance.now() - began) / 50;
    }"""
    milliseconds = page.evaluate(timed, rows[0]["inputs"])
    print(f"dream: largest difference from JAX {max(differences):.1e}; a step takes {milliseconds:.1f} ms")
    return wrong


def check_live(page: Page, base: str, html: Path) -> list[str]:
    """Check the switch's numbers against NumPy's, its knobs, and twenty answers of an annotator."""
    wrong = []
    trace = json.loads((html / "_static/live/trace.json").read_text())
    page.goto(f"{base}/switch.html", wait_until="networkidle")
    said = page.inner_text(".switch-status")
    threshold = np.percentile(trace["value"], trace["percentile"])
    if f"Threshold {threshold:.2f}." not in said:
        wrong.append(f"switch: the threshold is {threshold:.2f}, and the page says: {said}")
    page.focus(".switch-knobs input")
    page.keyboard.press("Home")
    if page.inner_text(".switch-status") == said:
        wrong.append("switch: its knobs do nothing")
    page.goto(f"{base}/annotator.html", wait_until="networkidle")
    pairs = json.loads((html / "_static/live/pairs.json").read_text())
    page.focus(".annotator-pair button")
    for pair in pairs:
        page.keyboard.press({0: "1", 1: "2", 2: "0"}[pair["truth"]])
    if "you and the truth\t100%" not in page.inner_text(".annotator-result"):
        wrong.append(f"annotator: true answers, and it says: {page.inner_text('.annotator-result')}")
    return wrong


def main(check: Check) -> None:
    """Look at everything. Raises SystemExit where something is wrong."""
    program = (
        check.chromium or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    )
    if program is None:
        raise SystemExit("the check needs Chromium; on Debian: apt install chromium")
    axe, wrong, began = axe_source(), [f"links: {one}" for one in broken_links(check.html)], time.monotonic()
    names = [path.relative_to(check.html).as_posix() for path in pages_of(check.html)]
    names = [name for name in names if check.only in name and name not in ("search.html", "genindex.html")]
    with served(check.html) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for width, scheme in ((360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
            for name in names:
                page = context.new_page()
                wrong += [f"{name} ({width}, {scheme}): {one}" for one in look(page, f"{base}/{name}", axe)]
                if check.screenshots:
                    check.screenshots.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=check.screenshots / f"{name.replace('/', '_')}.{width}.{scheme}.png")
                page.close()
            context.close()
        size = first_load_kb(browser.new_page(), f"{base}/index.html")
        print(f"the first page loads {size:.0f} kB")
        if size > FIRST_PAGE_KB:
            wrong.append(f"index.html: loads {size:.0f} kB, more than {FIRST_PAGE_KB}")
        wrong += check_dream(browser.new_page(), base, check.html)
        wrong += check_live(browser.new_page(), base, check.html)
        browser.close()
    print(f"{len(names)} pages, four ways each, in {time.monotonic() - began:.0f} s")
    if wrong:
        raise SystemExit("\n".join(dict.fromkeys(wrong)))
    print("nothing is wrong")


if __name__ == "__main__":
    main(tyro.cli(Check))
