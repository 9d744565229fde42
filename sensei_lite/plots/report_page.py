"""Parts of a page that needs nothing but itself: pictures, videos, style and script are all inside the one file.

Every function takes plain words and returns HTML; words are escaped here and nowhere else. The page forbids itself to
load anything (its Content-Security-Policy), so it can be sent by mail and opened without a network.
"""

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image as Picture

from sensei_lite.plots.exploration import rounded, words_for
from sensei_lite.plots.reward import Drawing
from sensei_lite.plots.trace import Gauge, Trace, gauges_of

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; style-src \
'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>
{script}</script>
</body>
</html>
"""

_CSS_PIXELS = 96
"""In an inch."""


def page(title: str, body: Sequence[str]) -> str:
    """The whole document."""
    style, script = (resources.files("sensei_lite.plots").joinpath(name).read_text("utf-8") for name in _FILES)
    return _PAGE.format(title=html.escape(title), style=style, script=script, body="\n".join(body))


_FILES = ("report.css", "report.js")


def words(text: str) -> str:
    """Plain words as HTML; symbols such as r_sem and R_psi get their subscripts."""
    escaped = html.escape(text)
    return re.sub(r"\b([rvRQ])_(sem|dis|psi)\b", lambda m: f"{m[1]}<sub>{m[2].replace('psi', 'ψ')}</sub>", escaped)


def heading(text: str, level: int = 2, anchor: str = "") -> str:
    """A heading; ``anchor`` is its place for links."""
    place = f' id="{anchor}"' if anchor else ""
    return f"<h{level}{place}>{words(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """Words; ``kind`` is a class of the style."""
    return f'<p class="{kind}">{words(text)}</p>' if kind else f"<p>{words(text)}</p>"


def bullets(lines: Sequence[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{words(line)}</li>" for line in lines) + "</ul>"


def contents(places: Mapping[str, str]) -> str:
    """Links to the headings with these anchors."""
    links = "".join(f'<li><a href="#{anchor}">{words(text)}</a></li>' for anchor, text in places.items())
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


def details(summary: str, content: str) -> str:
    """What is there for those who want it."""
    return f"<details><summary>{words(summary)}</summary>{content}</details>"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> str:
    """A table whose first column names its rows. Numbers are rounded and stand to the right."""
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
    kinds = [' class="number"' if is_number else "" for is_number in numeric]
    top = "".join(f'<th scope="col"{kind}>{words(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    lines = []
    for row in rows:
        first, *rest = [words(rounded(float(cell)) if isinstance(cell, int | float) else cell) for cell in row]
        cells = "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    # A caption inside the table would be as wide as the table, and scroll with it.
    inner = f'<table aria-label="{html.escape(caption)}"><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody>'
    shown = _scroll(f"{inner}</table>", caption)
    return f'<figure class="table"><figcaption>{words(caption)}</figcaption>{shown}</figure>'


def _scroll(content: str, name: str) -> str:
    label = html.escape(name.split(". ")[0].rstrip("."))
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{content}</div>'


def plot(drawing: Drawing, caption: str, *, narrow: Drawing | None = None) -> str:
    """A figure with its caption. ``narrow`` shows the same on a phone; a figure without it scrolls sideways there."""
    alt = html.escape(drawing.alt)
    image = f'<img {_sized(drawing.figure, "src", 150)} alt="{alt}"'
    if narrow is None:
        least = round(0.58 * _CSS_PIXELS * drawing.figure.get_figwidth())
        shown = _scroll(f'{image} style="min-width: {least}px">', caption)
    else:
        source = f'<source media="(max-width: 600px)" {_sized(narrow.figure, "srcset", 200)}>'
        shown = f"<picture>{source}{image}></picture>"
    return f'<figure class="plot">{shown}<figcaption>{words(caption)}</figcaption></figure>'


def _sized(figure: Figure, attribute: str, dpi: int) -> str:
    file = io.BytesIO()
    figure.savefig(file, dpi=dpi, format="png", metadata={"Software": None})
    width, height = (round(_CSS_PIXELS * inches) for inches in figure.get_size_inches())
    return f'{attribute}="{_uri("image/png", file.getvalue())}" width="{width}" height="{height}"'


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def png_uri(image: np.ndarray) -> str:
    """A picture, uint8 [height width 3], as an address that holds it."""
    file = io.BytesIO()
    Picture.fromarray(image).save(file, "png", optimize=True)
    return _uri("image/png", file.getvalue())


def picture(image: np.ndarray, alt: str, kind: str = "") -> str:
    """One picture as the agent saw it."""
    height, width = image.shape[:2]
    chosen = f' class="{kind}"' if kind else ""
    return f'<img{chosen} src="{png_uri(image)}" width="{width}" height="{height}" alt="{html.escape(alt)}">'


def pair(images: Sequence[np.ndarray], labels: Sequence[str], chosen: int | None, caption: str) -> str:
    """Two pictures side by side, one of them framed as chosen, or none."""
    shown = []
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        kind = ' class="chosen"' if i == chosen else ""
        shown.append(f"<div{kind}>{picture(image, label)}<span>{words(label)}</span></div>")
    return f'<figure><div class="pair">{"".join(shown)}</div><figcaption>{words(caption)}</figcaption></figure>'


def video(content: bytes, captions: str, name: str, lines: Sequence[str]) -> str:
    """An MP4 with WebVTT ``captions``, and in words what happens in it."""
    track = f'<track kind="captions" srclang="en" label="English" src="{_uri("text/vtt", captions.encode())}" default>'
    source = f'<source src="{_uri("video/mp4", content)}" type="video/mp4">'
    instead = "Your browser does not play this video; what happens in it is told below."
    label = html.escape(f"{name} plays one episode; what happens is told below the video")
    return (
        f'<figure><video controls muted playsinline preload="auto" aria-label="{label}">{source}{track}{instead}'
        f"</video><figcaption><strong>{words(name)}</strong>{bullets(lines)}</figcaption></figure>"
    )


# --- an episode to scrub through -------------------------------------------------------------------------------------


def player(trace: Trace, name: str) -> str:
    """A slider and a play button over an episode. It is hidden where there is no JavaScript to move it."""
    meters = "".join(map(_meter, gauges_of(trace)))
    switch = '<p>The switch says <span class="branch"></span></p>' if trace.exploring is not None else ""
    first = picture(trace.images[0], "The start of the episode.", "screen")
    label = html.escape(f"{name}: one episode, step by step")
    return (
        f'<div class="player" role="group" aria-label="{label}" hidden>'
        f'<div>{first}</div><div><p class="now"><span class="moment"></span></p>{switch}{meters}'
        '<p class="hint">Weights: <span class="weights"></span>. <span class="action"></span></p></div>'
        '<div class="controls"><button type="button">Play</button>'
        f'<input type="range" min="0" max="{trace.steps}" step="1" value="0" aria-label="Step of the episode"></div>'
        f'<script type="application/json">{_json(_episode(trace))}</script></div>'
    )


_LABELS = {
    "taste": "R_psi of the picture",
    "semantic": "semantic reward r_sem, predicted",
    "compared": "semantic return v_sem, by the critic",
    "disagreement": "disagreement r_dis",
}


def _meter(gauge: Gauge) -> str:
    low, high, mark, label = gauge.low, gauge.high, gauge.threshold, _LABELS[gauge.name]
    threshold, hint = "", ""
    if mark is not None:
        threshold = f'<span class="mark" style="left: {100 * (mark - low) / (high - low):.2f}%"></span>'
        hint = f'<p class="hint">{words(f"dotted: the threshold {mark:.2f}")}</p>'
    return (
        f'<div class="gauge" data-name="{gauge.name}"><div class="label"><span>{words(label)}</span>'
        f'<span class="value"></span></div><div class="meter" role="meter" aria-label="{html.escape(label)}" '
        f'aria-valuemin="{low:.5g}" aria-valuemax="{high:.5g}" aria-valuenow="{low:.5g}"><span class="fill"></span>'
        f"{threshold}</div>{hint}</div>"
    )


def _episode(trace: Trace) -> dict[str, Any]:
    def listed(values: np.ndarray) -> list[float | None]:
        shown: list[float | None] = [float(f"{value:.4g}") for value in values]
        return shown + [None] * (trace.steps + 1 - len(shown))

    steps = range(trace.steps + 1)
    return {
        "steps": trace.steps,
        "images": [png_uri(image) for image in trace.images],
        "happened": [words_for(trace.happened(t)) for t in steps],
        "actions": [trace.action_name(t) for t in steps],
        "exploring": None if trace.exploring is None else trace.exploring.tolist(),
        "weights": {name: listed(values) for name, values in trace.weights.items()},
        "gauges": {
            gauge.name: {"low": gauge.low, "high": gauge.high, "values": listed(gauge.values)}
            for gauge in gauges_of(trace)
        },
    }


def _json(content: object) -> str:
    """JSON that cannot end the element that it stands in."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
