"""Make the pages that Jupyter Book wrote light, quiet and independent of other hosts.

- What a page does not use is not loaded: mathematics on pages without formulas, Thebe (which starts kernels on other
  hosts), and a script that draws the icons which a font draws already.
- A widget needs Python, and a page has none: its place is taken by a sentence that says where it is alive.
"""

import re
from pathlib import Path

from bs4 import BeautifulSoup, Tag

UNWANTED = re.compile(r"thebe|fontawesome/[^\"]*/js/|embed-amd|require\.js|html-manager", re.IGNORECASE)
WIDGET = "application/vnd.jupyter.widget"
LONG = 60
"""Characters of a cell from which on it must be wide."""
SCROLLS = "pst-scrollable-table-container"
"""Where the theme lets a wide table scroll by itself, so that the page does not."""


def without_badges(notebook_json: str) -> str:
    """Return a notebook's text without the badges of its first cell, pictures of other hosts: the book has buttons."""
    return re.sub(r'\s*"\[!\[Open in (?:Colab|Binder)\][^\n]*\n', "\n", notebook_json)


def mend_page(text: str) -> str:
    """One page."""
    page = BeautifulSoup(text, "html.parser")
    has_math = page.select_one(".math") is not None
    for script in page.find_all("script"):
        source, kind = str(script.get("src", "")), str(script.get("type", ""))
        inline = script.get_text() if not source else ""
        unwanted = UNWANTED.search(source) or kind == "text/x-thebe-config" or "thebe" in inline.lower()
        unused = "mathjax" in (source + inline).lower() and not has_math
        if unwanted or unused or kind.startswith(f"{WIDGET}-state"):
            script.decompose()
        elif kind.startswith(f"{WIDGET}-view"):
            script.replace_with(_note(page))
    _one_mathjax(page)
    # Jupyter Book puts every script and style that it finds on every page; a page names those that it wants itself.
    for tag in page.find_all(["script", "link"]):
        address = str(tag.get("src") or tag.get("href") or "")
        if "_static/live/" in address and "?v=" in address:
            tag.decompose()
    for link in page.find_all("link", href=re.compile("thebe")):
        link.decompose()
    for link in page.find_all("link", rel="preload", href=re.compile("fa-(brands|regular)")):
        link.decompose()  # loaded when an icon of theirs is shown
    for summary in page.find_all("summary"):
        if not summary.get_text(strip=True) and not summary.get("aria-label"):
            before = summary.find_previous("a")
            summary["aria-label"] = f"Pages under {before.get_text(strip=True)}" if before else "More pages"
    for names in page.select(".citation-list"):
        del names["role"]  # it says "list", and what is in it are no list items
    for table in page.select(".bd-article table"):
        if table.parent and SCROLLS not in (table.parent.get("class") or []):
            table.wrap(page.new_tag("div", attrs={"class": SCROLLS}))
        for cell in table.select("td"):
            if len(cell.get_text()) > LONG:
                cell["class"] = [*(cell.get("class") or []), "long"]
        if table.parent:  # what scrolls must be reached by the keyboard
            table.parent.attrs |= {"tabindex": "0", "role": "group", "aria-label": "A table, which may be scrolled"}
    if page.html and not page.html.get("data-mode"):
        page.html["data-mode"] = "auto"
    return str(page)


def _one_mathjax(page: BeautifulSoup) -> None:
    """Of several tags that load MathJax only the last stays, which comes after its settings."""
    for script in page.find_all("script", src=re.compile("mathjax"))[:-1]:
        script.decompose()


def _note(page: BeautifulSoup) -> Tag:
    note = page.new_tag("p", attrs={"class": "only-alive"})
    note.string = (
        "Here is a part that you can touch when the notebook runs: open it with the rocket at the top, or with make "
        "lab. The figure beside it shows what it is about."
    )
    return note


def mend(html: Path) -> None:
    """All pages under a folder."""
    for path in html.rglob("*.html"):
        path.write_text(mend_page(path.read_text(encoding="utf-8")), encoding="utf-8")
    for unused in ("_static/vendor/fontawesome/6.5.2/js", "_static/sphinx-thebe.js"):
        for old in [*(html / unused).rglob("*"), html / unused]:
            if old.is_file():
                old.unlink()
    for old in [*html.rglob("*.map"), *html.rglob("*.ttf")]:
        old.unlink()
