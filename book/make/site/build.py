"""Build the online book: ``make book``.

    book/ and notebooks/  ->  build/book/source  ->  Jupyter Book  ->  build/book/html

Notebooks are executed, and their results are kept in build/book/cache: one that did not change is not run again. (The
cache looks at the notebook's own cells; after a change of the package, ``make book FRESH=1`` runs all.) Mathematics and
what runs a model in the browser are served with the book; their files come from npm. The package's reference is written
from its docstrings.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import tyro

from make.site.claims import false_claims
from make.site.curves import draw_curves
from make.site.dream import write_dream
from make.site.film import write_film
from make.site.house import draw_house
from make.site.mend import mend, without_badges
from make.site.recorded import write_recorded
from make.site.reference import write_reference
from make.site.summary import with_summaries

ROOT = Path(__file__).resolve().parents[3]

VENDORED = {
    "mathjax@3.2.2": {"package/es5/tex-svg.js": "mathjax/tex-svg.js"},
    "onnxruntime-web@1.30.0": {
        f"package/dist/{name}": f"live/{name}"
        for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
    },
}
"""npm packages, and where their files go under the book's static folder."""


@dataclasses.dataclass(frozen=True)
class Book:
    """How to build the book."""

    out: Path = ROOT / "build" / "book"
    """The folder for everything that is made."""
    fresh: bool = False
    """Run all notebooks again."""
    preset: str = "default"
    """``smoke`` runs the notebooks with small numbers, for tests."""


def vendor(folder: Path) -> None:
    """Fetch what pages need from npm, unless it is there. Raises CalledProcessError where npm cannot."""
    for package, files in VENDORED.items():
        if all((folder / to).exists() for to in files.values()):
            continue
        with tempfile.TemporaryDirectory() as place:
            command = ["npm", "pack", package, "--pack-destination", place, "--silent"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            with tarfile.open(next(Path(place).glob("*.tgz"))) as archive:
                for path, to in files.items():
                    (folder / to).parent.mkdir(parents=True, exist_ok=True)
                    content = archive.extractfile(path)
                    assert content is not None
                    (folder / to).write_bytes(content.read())


def stage(book: Book) -> Path:
    """Copy pages and notebooks to one folder, as Jupyter Book wants them. Files that did not change stay."""
    source = book.out / "source"
    wanted = {path.relative_to(ROOT / "book"): path for path in (ROOT / "book").rglob("*") if path.is_file()}
    wanted = {to: path for to, path in wanted.items() if path.suffix != ".py" and "__pycache__" not in to.parts}
    wanted = {
        Path("_vendor") / to.relative_to("make/site") if to.parts[0] == "make" else to: path
        for to, path in wanted.items()
    }
    widgets = ROOT / "sensei_lite" / "course" / "widgets"
    wanted |= {Path("_vendor/live") / name: widgets / name for name in ("common.js", "episode.js")}
    wanted |= {Path("notebooks") / path.name: path for path in (ROOT / "notebooks").glob("*.ipynb")}
    draw_house(source / "images" / "house.svg")
    kept = {source / to for to in wanted} | {source / "images" / "house.svg", *draw_curves(source / "images")}
    kept |= {*(source / "_vendor").rglob("*"), *(source / "api").rglob("*")}
    for old in source.rglob("*"):
        if old.is_file() and old not in kept and "_build" not in old.parts:
            old.unlink()
    for to, path in wanted.items():
        target, content = source / to, path.read_bytes()
        if path.suffix == ".ipynb":
            content = without_badges(content.decode()).encode()
        if path.suffix == ".md":
            content = with_summaries(content.decode()).encode()
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return source


def check_editions() -> None:
    """Raise SystemExit where a notebook in the table of contents is missing."""
    listed = {line.split("notebooks/")[1].strip() for line in _toc().splitlines() if "notebooks/" in line}
    there = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    if different := sorted(listed ^ there):
        raise SystemExit(f"book/_toc.yml and notebooks/ do not name the same notebooks: {', '.join(different)}")


def _toc() -> str:
    return (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")


def _list(toc: Path, pages: list[str]) -> None:
    """Put the pages of the reference under its first page in the table of contents."""
    mark = "      - file: api/index\n"
    sections = "        sections:\n" + "".join(f"          - file: api/{page}\n" for page in pages)
    toc.write_text(toc.read_text(encoding="utf-8").replace(mark, mark + sections), encoding="utf-8")


def build(book: Book) -> Path:
    """Everything; gives the folder of the pages. Raises SystemExit where a page has a warning or a notebook fails."""
    check_editions()
    if wrong := false_claims():
        raise SystemExit("the tables in book/data say otherwise: " + "; ".join(wrong))
    source = stage(book)
    vendor(source / "_vendor")
    write_dream(book.out / "dream")
    write_recorded(book.out / "dream")
    write_film(book.out / "dream")
    shutil.copytree(book.out / "dream", source / "_vendor" / "live", dirs_exist_ok=True)
    _list(source / "_toc.yml", write_reference(ROOT / "sensei_lite", source / "api"))
    if book.fresh:
        shutil.rmtree(book.out / "cache", ignore_errors=True)
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore", "JUPYTER_PLATFORM_DIRS": "1"}
    environment["TQDM_DISABLE"] = "1"  # a bar that has come to its end is no use on a page
    if book.preset != "default":
        environment["SENSEI_LITE_PRESET"] = book.preset
    command = [Path(sys.executable).parent / "jupyter-book", "build", source, "--path-output", book.out]
    result = subprocess.run([*map(str, command), "--warningiserror", "--keep-going"], env=environment, check=False)
    if result.returncode:
        raise SystemExit("the book has warnings or errors; see above")
    html = book.out / "html"
    shutil.rmtree(html, ignore_errors=True)
    shutil.copytree(book.out / "_build" / "html", html, ignore=shutil.ignore_patterns(".doctrees", ".buildinfo"))
    mend(html)
    (html / ".nojekyll").touch()  # GitHub Pages leaves out folders such as _static otherwise
    (html / "build.json").write_text(json.dumps({"preset": book.preset}) + "\n", encoding="utf-8")
    print(f"the book: {html.relative_to(Path.cwd()) if html.is_relative_to(Path.cwd()) else html}/index.html")
    return html


if __name__ == "__main__":
    build(tyro.cli(Book))
