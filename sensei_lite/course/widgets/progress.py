"""A progress bar that leaves nothing behind, for all notebooks.

A bar of tqdm that is over is closed, but its output stays in the notebook: who opens the notebook again reads "Error
displaying widget: model not found" in its place. And a loop that was left early keeps a red bar. Here the output itself
is emptied when the bar is over.
"""

from typing import Any

from IPython.display import display
from tqdm.notebook import tqdm as _NotebookBar


class tqdm(_NotebookBar):
    """Show tqdm's bar for notebooks, as ``tqdm(range(3), desc="seeds", leave=False)``.

    With ``leave=False`` nothing is left of it, whether the loop came to its end or not.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings, display=False)
        if not self.disable:
            self._place = display(self.container, display_id=True)

    def close(self) -> None:
        """End the bar. Calling it again does nothing."""
        if self.disable:
            return
        super().close()
        if not self.leave and self._place is not None:
            self._place.update({"text/html": "", "text/plain": ""}, raw=True)
