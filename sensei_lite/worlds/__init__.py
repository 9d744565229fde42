"""Where images come from: worlds to explore, as pure functions in JAX or behind Gymnasium's interface."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
