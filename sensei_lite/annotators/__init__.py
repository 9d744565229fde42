"""Who says which of two pictures is more interesting: models, services, people, and a script that knows the truth.

    data -> pairs -> query (asks an annotator, keeps every answer in the store) -> combine -> preferences

The names that notebooks use are handed on from here; a module is imported when one of its names is first asked for, so
that nobody loads a database, a chat client, torch or widgets without using them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
