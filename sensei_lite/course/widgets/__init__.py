"""Parts of a notebook that a reader can touch. Each shows what a static figure cannot, and needs no network."""

try:
    import anywidget  # noqa: F401
    import ipywidgets  # noqa: F401
except ImportError as error:
    raise ImportError('widgets need more packages: pip install "sensei-lite[notebooks]"') from error

from sensei_lite.course.widgets.play import PlayWidget, play

__all__ = ["PlayWidget", "play"]
