"""The loop around the agent: collect, learn, store, evaluate; and the whole method in order. Notebooks 07, 08."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
