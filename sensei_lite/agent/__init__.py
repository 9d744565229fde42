"""The agent: how it learns to act in imagination, from which rewards, when it goes or explores. Notebooks 03, 07."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
