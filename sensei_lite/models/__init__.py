"""The world model: what happens next, what is seen there, and how sure the agent can be of it. Notebooks 02 and 04."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
