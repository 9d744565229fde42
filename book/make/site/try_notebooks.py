"""Try the course as a student does: every notebook in JupyterLab, in Chromium (needs Chromium).

JupyterLab starts on a temporary copy of the notebooks. Each is opened, and run from the menu with small numbers. No
cell may end in an error, print a warning or a path of this machine, or leave a progress bar. Then the widgets: keys are
pressed, buttons clicked and sliders moved, the page must change, and it is timed how long that takes. Their cells must
also run a second time. What is printed are the seconds and, of the kernel, the CPU seconds that each notebook took.
"""

import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import tyro
from playwright.sync_api import ElementHandle, Error, Page, TimeoutError, sync_playwright

ROOT = Path(__file__).resolve().parents[3]
WIDGET = "application/vnd.jupyter.widget-view+json"
SCROLLER = "document.querySelector('.jp-WindowedPanel-outer')"
CELLS = """() => Array.from(jupyterapp.shell.currentWidget.content.model.cells).map((cell, i) => ({
    i, code: cell.type === "code", source: cell.sharedModel.source, state: cell.executionState,
    count: cell.executionCount ?? null, outputs: cell.outputs ? cell.outputs.toJSON() : [] }))"""
"""Every cell as the page has it. (A cell out of sight has no elements, so they cannot be asked.)"""
READY = "() => globalThis.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
SHOW = "i => { const all = jupyterapp.shell.currentWidget.content; all.activeCellIndex = i; all.scrollToItem(i); }"
ELEMENT = "i => jupyterapp.shell.currentWidget.content.widgets[i].node"


@dataclasses.dataclass(frozen=True)
class Try:
    """What to try."""

    screenshots: Path
    """Where to keep pictures of every notebook, from top to bottom."""
    only: str = ""
    """Only notebooks whose name has this in it."""
    notebooks: Path = ROOT / "notebooks"
    """The notebooks; those of `make student` for instance are in build/student."""
    preset: str = "smoke"
    """SENSEI_LITE_PRESET for the kernels."""
    theme: str = "light"
    """JupyterLab's colours: light or dark."""
    jupyter: Path = Path(sys.executable).parent / "jupyter"
    """The JupyterLab to start, with the Python that it belongs to."""
    chromium: str | None = None
    """The browser's program; otherwise the one on the path."""
    seconds: int = 900
    """How long a notebook may run."""


@contextmanager
def jupyterlab(check: Try, place: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Start a JupyterLab on a copy of the notebooks: its address and its process, while the block lasts."""
    copy, settings = place / "notebooks", place / "settings"
    shutil.copytree(check.notebooks, copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    chosen = {"themes": {"theme": f"JupyterLab {check.theme.title()}"}, "notification": {"fetchNews": "false"}}
    for name, values in chosen.items():
        file = settings / "@jupyterlab" / "apputils-extension" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    own = {"JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces")}
    own |= {"JUPYTER_CONFIG_DIR": str(place), "JUPYTER_RUNTIME_DIR": str(place), "SENSEI_LITE_PRESET": check.preset}
    options = ("--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token=", "--expose-app-in-browser")
    with (place / "log").open("w") as log:
        command = [str(check.jupyter), "lab", str(copy), *options]
        process = psutil.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while not (found := [file for file in place.glob("jpserver-*.json") if file.stat().st_size]):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"JupyterLab does not start:\n{(place / 'log').read_text()}")
            time.sleep(0.5)
        yield json.loads(found[0].read_text())["url"].replace("localhost", "127.0.0.1").rstrip("/"), process
    finally:
        for child in process.children(recursive=True):
            child.terminate()
        process.terminate()
        process.wait(20)


def menu(page: Page, command: str) -> None:
    """Choose this in JupyterLab's menu *Run*."""
    page.click(".lm-MenuBar-item:has-text('Run')")
    page.click(f".lm-Menu-item[data-command='runmenu:{command}']")


def code_cells(page: Page) -> list[dict[str, Any]]:
    """All cells of code that are not empty."""
    return [cell for cell in page.evaluate(CELLS) if cell["code"] and cell["source"]]


def run_all(page: Page, seconds: int) -> list[dict[str, Any]]:
    """Run every cell, as a student does. Returns the cells with their outputs."""
    menu(page, "run-all")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        cells = code_cells(page)
        failed = any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
        if failed or all(cell["count"] and cell["state"] != "running" for cell in cells):
            return cells
    raise SystemExit(f"{page.url} did not end within {seconds} s")


def complaints(cells: list[dict[str, Any]]) -> list[str]:
    """List what must not be in the outputs: errors, warnings, paths of this machine, progress bars that stay."""
    wrong = []
    for cell in cells:
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                wrong.append(f"cell {cell['i']}: {output['ename']}: {output['evalue']}")
            data = output.get("data", {})
            said = "".join(output.get("text", "")) + "".join(data.get("text/plain", "")) + str(data.get("text/html"))
            unwanted = ("Warning", "Traceback", sys.prefix, str(ROOT), tempfile.gettempdir(), str(Path.home()))
            wrong += [f"cell {cell['i']}: prints {one!r}: {said[:200]}" for one in unwanted if one in said]
            if WIDGET in data and "%|" in said:
                wrong.append(f"cell {cell['i']}: leaves a progress bar: {said[:60]}")
            if output.get("name") == "stderr":
                wrong.append(f"cell {cell['i']}: writes to stderr: {said[:200]}")
    return wrong


# --- the widgets ------------------------------------------------------------------------------------------------------


LOOK = "([root, part]) => Array.from(root.querySelectorAll(part)).map((e) => e.src || e.innerHTML).join()"


def changes(page: Page, widget: ElementHandle, part: str, do: Callable[..., None], *arguments: Any) -> float:
    """Do something; seconds until what the widget shows in this part is another. Raises TimeoutError after 20 s."""
    before, began = page.evaluate(LOOK, [widget, part]), time.monotonic()
    do(*arguments)
    script = f"([root, part, before]) => ({LOOK})([root, part]) !== before"
    page.wait_for_function(script, arg=[widget, part, before], timeout=20_000, polling=20)
    return time.monotonic() - began


def try_game(page: Page, widget: ElementHandle) -> list[float]:
    """Try a game, and a dream to step inside: keys after a click on the picture, then the buttons."""
    screen, again = widget.wait_for_selector(".screen"), widget.query_selector(".side > p button")
    assert screen is not None
    assert again is not None
    screen.click()
    seen = [changes(page, widget, ".status", page.keyboard.press, key) for key in ("ArrowUp", "ArrowLeft", "s", " ")]
    seen += [changes(page, widget, ".status", button.click) for button in widget.query_selector_all(".pad button")]
    return [*seen, changes(page, widget, ".screen img", again.click)]


def try_sliders(page: Page, widget: ElementHandle) -> list[float]:
    """Every slider with the arrow keys: from one end to the other the drawing must change."""
    seen, drawn = [], "img" if widget.query_selector("img") else "svg"
    for slider in widget.query_selector_all("input[type=range]"):
        slider.focus()
        for key in ("Home", "End"):
            if slider.evaluate("(e, key) => e.value !== (key === 'End' ? e.max : e.min)", key):
                seen.append(changes(page, widget, drawn, page.keyboard.press, key))
    return seen


def try_human(page: Page, widget: ElementHandle) -> list[float]:
    """Pairs of pictures: two answers by click, a skip that is taken back, then keys until all are answered."""
    buttons = [widget.query_selector(name) for name in (".choice", ".rest button")]
    seen = [changes(page, widget, ".status", button.click) for button in buttons if button]
    keys = ["s", "u", *["ArrowRight", "1", "n"] * 20]
    while keys and not widget.evaluate("e => e.classList.contains('over')"):
        seen.append(changes(page, widget, ".status, img", page.keyboard.press, keys.pop(0)))
    return seen


WIDGETS: dict[str, Callable[[Page, ElementHandle], list[float]]] = {
    ".sensei-play": try_game,
    ".sensei-scrub": try_sliders,
    ".sensei-switch": try_sliders,
    ".sensei-human": try_human,
}


def try_widgets(page: Page, cells: list[dict[str, Any]], shot: Callable[[str], None]) -> list[str]:
    """Work each widget, and run its cell a second time. Returns what does not answer."""
    wrong = []
    for cell in cells:
        if not any(WIDGET in output.get("data", {}) for output in cell["outputs"]):
            continue
        i = cell["i"]
        page.evaluate(SHOW, i)
        element = page.evaluate_handle(ELEMENT, i).as_element()
        assert element is not None
        try:
            element.wait_for_selector(", ".join(WIDGETS), timeout=20_000)
            name, widget = next((name, found) for name in WIDGETS if (found := element.query_selector(name)))
            widget.scroll_into_view_if_needed()
            shot(f"cell{i}-before")
            seen = WIDGETS[name](page, widget)
            print(f"  cell {i}, {name}: {len(seen)} answers, the slowest after {max(seen):.2f} s", flush=True)
        except TimeoutError as error:
            wrong.append(f"cell {i}: no answer: {error.message.splitlines()[0]}")
        shot(f"cell{i}-after")
        page.evaluate(SHOW, i)
        menu(page, "run")  # and JupyterLab goes on to the next cell
        page.wait_for_timeout(3000)
        page.evaluate(SHOW, i)
        shot(f"cell{i}-again")
        wrong += [f"{one} (run again)" for one in complaints([each for each in code_cells(page) if each["i"] == i])]
    return wrong


def photograph(page: Page, shot: Callable[[str], None]) -> None:
    """Photograph the notebook from top to bottom, screen by screen."""
    page.evaluate(SHOW, 0)
    page.evaluate(f"{SCROLLER}.scrollTop = 0")
    number, more = 0, True
    while more:
        page.wait_for_timeout(600)
        shot(f"{number:02}")
        before = page.evaluate(f"{SCROLLER}.scrollTop")
        page.evaluate(f"{SCROLLER}.scrollTop += 0.95 * {SCROLLER}.clientHeight")
        number, more = number + 1, page.evaluate(f"{SCROLLER}.scrollTop") > before


def try_notebook(page: Page, address: str, name: str, server: psutil.Process, check: Try) -> list[str]:
    """Open one notebook, run it, look at it and work its widgets. Returns what is wrong."""
    wrong: list[str] = []

    def heard(error: Error) -> None:
        if "blob:" in (error.stack or ""):  # a widget's script; JupyterLab has errors of its own when a page closes
            wrong.append(f"error of a widget: {error.message[:200]}")

    page.on("pageerror", heard)
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
    page.wait_for_function(READY, timeout=120_000)  # earlier, JupyterLab would ask which kernel to take

    def shot(part: str) -> None:
        page.screenshot(path=check.screenshots / f"{name}.{check.theme}.{part}.png")

    began = time.monotonic()
    cells = run_all(page, check.seconds)
    cpu = sum(sum(child.cpu_times()[:4]) for child in server.children())  # the one kernel's, and what it started
    print(f"{name}: {time.monotonic() - began:.0f} s, CPU {cpu:.0f} s", flush=True)
    photograph(page, shot)
    wrong += complaints(cells) + try_widgets(page, cells, shot)
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    return wrong


def main(check: Try) -> None:
    """Try everything. Raises SystemExit where something is wrong."""
    program = check.chromium or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("the trial needs Chromium; on Debian: apt install chromium")
    check.screenshots.mkdir(parents=True, exist_ok=True)
    names = [path.stem for path in sorted(check.notebooks.glob("[0-9]*.ipynb")) if check.only in path.stem]
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with jupyterlab(check, Path(place)) as (address, server):
            for name in names:
                page = browser.new_page(viewport={"width": 1366, "height": 1400})
                wrong += [f"{name}: {one}" for one in try_notebook(page, address, name, server, check)]
                page.close()
        browser.close()
    if wrong:
        raise SystemExit("\n".join(dict.fromkeys(wrong)))
    print(f"{len(names)} notebooks: nothing is wrong")


if __name__ == "__main__":
    main(tyro.cli(Try))
