"""Parts of a notebook that a reader can touch. Each shows what a static figure cannot, and needs no network."""

from importlib.util import find_spec

if not (find_spec("anywidget") and find_spec("ipywidgets")):  # found, but not imported: a progress bar needs one only
    raise ImportError('widgets need more packages: pip install "sensei-lite[notebooks]"')
