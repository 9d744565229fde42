"""Parts of a notebook that a reader can touch. Each shows what a static figure cannot, and needs no network."""

from sensei_lite.course.widgets.play import PlayWidget, play

__all__ = ["PlayWidget", "play"]
