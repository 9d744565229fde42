"""What the widgets share: scripts and styles are files beside this one, and images travel inside of a data URL."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_HERE = Path(__file__).parent

STYLES = (_HERE / "common.css").read_text(encoding="utf-8")
"""The CSS of all widgets."""


def script(name: str) -> str:
    """Return the ES module ``name.js`` as one script, for anywidget: each import line becomes what it imports."""

    def read(file: str) -> str:
        return (_HERE / file).read_text(encoding="utf-8")

    return re.sub(r'^import .* from "\./(.+)";$', lambda line: read(line[1]), read(f"{name}.js"), flags=re.MULTILINE)


def data_url(image: UInt8[np.ndarray, "height width channel"]) -> str:
    """Encode an image as a PNG inside of a data URL."""
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
