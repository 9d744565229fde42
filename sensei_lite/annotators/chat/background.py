"""Many requests under way at once, for a caller who only writes a plain ``for`` loop.

The requests run in an event loop of their own, in a thread of their own (a notebook's loop is already running, so they
cannot use that one). Each result is yielded as soon as it is there. The loop never runs far ahead: results that were
not taken yet, and work under way, are together at most ``ahead``. Whoever stops early loses no more than these, the
work is cancelled at once, and no thread is left behind.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

THREAD_NAME = "sensei-lite annotator"


class Outlet(Generic[Item]):
    """Where a job puts its results. Before each piece of work it asks for room, and then gives a result or the room."""

    def __init__(self, ahead: int) -> None:
        self._room = asyncio.Semaphore(ahead)
        self._items: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    async def room(self) -> None:
        """Wait until the caller has taken enough to go on."""
        await self._room.acquire()

    def put(self, item: Item) -> None:
        """Hand over the result for which there was room."""
        self._items.put((True, item))

    def release(self) -> None:
        """There will be no result: the room can be used for something else."""
        self._room.release()

    def _end(self, error: BaseException | None) -> None:
        self._items.put((False, error))


def run_in_background(
    job: Callable[[Outlet[Item]], Coroutine[Any, Any, None]], ahead: int, *, poll: float = 0.5
) -> Iterator[Item]:
    """Yield what ``job`` puts into its outlet, and then raise what it raised, if anything.

    Closing the iterator, or an exception such as KeyboardInterrupt while it waits, cancels the job and waits for its
    thread. ``poll`` (seconds) is how long Ctrl-C can take where waiting cannot be interrupted (Windows).
    """
    outlet: Outlet[Item] = Outlet(ahead)
    loop = asyncio.new_event_loop()
    task = loop.create_task(job(outlet))

    def work() -> None:
        error: BaseException | None = None
        try:
            loop.run_until_complete(task)
        except BaseException as raised:
            error = raised
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            outlet._end(error)

    thread = threading.Thread(target=work, name=THREAD_NAME, daemon=True)
    thread.start()
    try:
        while True:
            try:
                more, value = outlet._items.get(timeout=poll)
            except queue.Empty:
                continue
            if not more:
                break
            with contextlib.suppress(RuntimeError):  # the loop is closed: all is done
                loop.call_soon_threadsafe(outlet.release)
            yield value
        if value is not None:
            raise value
    finally:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
