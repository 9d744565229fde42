"""Put a list of questions to one chat model: many at once, within limits, through the ``openai`` client.

    question -> request (budget? turn?) -> completion:       hand it over
                                        -> passing trouble:  the client tries again, up to `Limits.retries` times
                                        -> lasting trouble:  stop everything

Retries, pauses and time-outs are the client's. Two hooks see every request that leaves and every reply that comes,
those of retries too: the one counts it and keeps the budget, the other reads and settles it.

A question without an answer after its retries is left out and counted, so that a later run asks it again. Whatever
stops the asking (a lasting trouble, the budget, too many questions in a row without an answer), no new request leaves,
those under way are waited for, what they bring is handed over, and then one error is raised.
"""

import functools
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, NamedTuple

from sensei_lite.annotators.chat.endpoint import find_endpoint, read_key, redact
from sensei_lite.annotators.chat.limits import Limits, Meter, Price
from sensei_lite.annotators.chat.parser import Completion, read_completion
from sensei_lite.annotators.chat.prompts import ANSWER_SCHEMA, Messages

THREAD_NAME = "sensei-lite chat request"

_ANSWER_FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": ANSWER_SCHEMA}}
_NO_QUOTA = "insufficient_quota"
_POLL = 0.5  # seconds; how long Ctrl-C can take where waiting cannot be interrupted (Windows)

_log = logging.getLogger(__name__)


class ChatError(RuntimeError):
    """The asking cannot go on. The message never holds the key."""


class BudgetSpent(ChatError):
    """The budget does not allow another call. Nothing is wrong: a larger one goes on where this ended."""


class _Unanswered(ChatError):
    """One question has no answer after all retries; others may have."""


class _NotSent(BaseException):
    """A request may not leave. No `Exception`, for the ``openai`` client would take that for a lost connection."""

    def __init__(self, reason: ChatError) -> None:
        self.reason = reason


class _Run(NamedTuple):
    """What the threads of one `ChatClient.ask_all` share: its arguments, and whether nothing more is to be sent."""

    estimate: float
    structured: bool
    stopped: threading.Event


class ChatClient:
    """Puts questions to one model at one endpoint, within limits. Arguments and errors are those of `ChatAnnotator`.

    ``settings`` are ``model``, ``temperature`` and the like, as the protocol calls them; None: not sent.
    """

    def __init__(
        self, base_url: str | None, settings: dict[str, Any], limits: Limits, price: Price | None, structured: bool
    ) -> None:
        if limits.budget_dollars is not None and price is None:
            raise ValueError("budget_dollars needs a price: give price=Price(...)")
        try:
            import openai
        except ImportError as error:
            raise ImportError(f'a chat model needs an extra: pip install "sensei-lite[vlm]" ({error})') from error
        self._openai: Any = openai
        self.endpoint = find_endpoint(base_url)
        self.limits, self.meter = limits, Meter(limits, price)
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._structured = structured
        self._who = f"{settings['model']} at {self.endpoint}"
        self._failures_in_a_row = 0

    def ask_all(
        self, questions: Sequence[Callable[[], Messages]], estimate: float, *, structured: bool
    ) -> Iterator[tuple[int, Completion]]:
        """Ask all questions, and yield (number of the question, completion) as they come.

        At most ``concurrency`` completions are paid for and not yet taken. Whoever stops early loses no more than
        these; nothing more is sent, and nothing is waited for.

        Args:
            questions: each makes its messages when it is its turn.
            estimate: what one of them may cost, in US dollars.
            structured: these are comparisons, to be answered by the schema.

        Raises ChatError, or BudgetSpent, when nothing more can be had and what was said is yielded.
        """
        run = _Run(estimate, structured, threading.Event())
        client = self._connect(run)
        left = iter(enumerate(questions))
        pending: dict[Future[Completion | ChatError], int] = {}
        reason: ChatError | None = None
        try:
            while True:
                free = 0 if reason else self.limits.concurrency - len(pending)
                for number, question in itertools.islice(left, free):
                    pending[_in_thread(self._ask, client, run, question)] = number
                if not pending:
                    break
                done, _ = wait(pending, timeout=_POLL, return_when=FIRST_COMPLETED)
                for future in done:
                    number, result = pending.pop(future), future.result()
                    if isinstance(result, Completion):
                        self._failures_in_a_row = 0
                        yield number, result
                    elif stop := self._reason_to_stop(result):
                        run.stopped.set()
                        reason = reason or stop
        finally:
            run.stopped.set()
        client.close()  # not after an early end: a socket must not be closed while a thread reads from it
        if reason:
            raise reason

    def _connect(self, run: _Run) -> Any:
        hooks = {
            "request": [functools.partial(self._before_request, run)],
            "response": [functools.partial(self._after_response, run)],
        }
        return self._openai.OpenAI(
            api_key=read_key() or "no-key",
            base_url=self.endpoint,
            timeout=self.limits.timeout,
            max_retries=self.limits.retries,
            http_client=self._openai.DefaultHttpxClient(event_hooks=hooks),
        )

    def _before_request(self, run: _Run, request: Any) -> None:
        """Let a request leave when it is its turn, if the budget allows it. Every request comes here, a retry too."""
        run.stopped.wait(self.meter.take_turn(time.monotonic()))
        if run.stopped.is_set():
            raise _NotSent(ChatError("the asking was stopped"))
        request.extensions["reserved"], over = self.meter.reserve(run.estimate)
        if over:
            raise _NotSent(BudgetSpent(f"{self._who}: the budget of {over} is spent; a larger one goes on from here"))

    def _after_response(self, run: _Run, response: Any) -> None:
        """Read and settle a reply, and tell the ``openai`` client whether to ask again. Every reply comes here."""
        response.read()
        reserved = response.request.extensions["reserved"]
        try:
            said = read_completion(response.text)
        except ValueError as error:
            self.meter.settle(reserved, 0, 0)
            if response.is_success:
                response.status_code = 502  # it is the page of a gateway, often
                response.extensions["trouble"] = str(error)
            elif _NO_QUOTA in response.text:
                response.headers["x-should-retry"] = "false"
        else:
            dollars = self.meter.settle(reserved, said.input_tokens, said.output_tokens)
            response.extensions["said"] = said._replace(dollars=dollars)

    def _ask(self, client: Any, run: _Run, question: Callable[[], Messages]) -> Completion | ChatError:
        """Ask one question. What the client raises is not passed on: its traceback holds the request, with the key."""
        openai, messages = self._openai, question()
        while True:
            structured = run.structured and self._structured
            schema = {"response_format": _ANSWER_FORMAT} if structured else {}
            try:
                reply = client.chat.completions.with_raw_response.create(messages=messages, **self._settings, **schema)
                return reply.http_response.extensions["said"]
            except _NotSent as error:
                return error.reason
            except openai.APIStatusError as error:
                status, extensions = error.status_code, error.response.extensions
                if "said" in extensions:  # a refusal that came as an error
                    return extensions["said"]
                if structured and status in (400, 422):
                    self._structured = False  # perhaps it was the schema: ask once more without
                    continue
                text = extensions.get("trouble") or str(error)
                passing = (status in (408, 409, 429) or status >= 500) and error.code != _NO_QUOTA
            except openai.APITimeoutError:
                text, passing = "no answer in time", True
            except openai.APIConnectionError as error:
                text, passing = f"connection lost or refused: {error.__cause__ or error}", True
            except Exception as error:
                text, passing = f"{type(error).__name__}: {error}", False
            text = _short(text)
            return _Unanswered(text) if passing else ChatError(f"{self._who} cannot go on: {text}")

    def _reason_to_stop(self, trouble: ChatError) -> ChatError | None:
        """Return why to stop after this trouble, if at all; count a question that stays without an answer."""
        if not isinstance(trouble, _Unanswered):
            return trouble
        self.meter.usage.unanswered += 1
        self._failures_in_a_row += 1
        _log.warning("%s: a question stays without an answer: %s", self._who, trouble)
        if self._failures_in_a_row < self.limits.give_up_after:
            return None
        number, self._failures_in_a_row = self._failures_in_a_row, 0
        return ChatError(f"{self._who} gave no answer to {number} questions in a row, at last: {trouble}")


def _in_thread(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Start ``work`` in a thread of its own. A pool's threads would keep a stopped process alive until all replies."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=THREAD_NAME, daemon=True).start()
    return future


def _short(text: str) -> str:
    text = redact(" ".join(text.split()))
    return text if len(text) <= 300 else f"{text[:300]} ..."
