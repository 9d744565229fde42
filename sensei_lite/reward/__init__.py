"""R_psi: a reward for pictures, distilled from an annotator's answers. Notebook 06."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
