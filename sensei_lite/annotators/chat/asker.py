"""Put a long list of questions to a service that fails, limits and charges.

    start (budget? pace?) -> request -> completion:       hand it over
                                     -> passing trouble:  pause, and start again, up to `retries` times
                                     -> lasting trouble:  stop everything

A question without an answer after its retries is left out and counted, so that a later run asks it again. Whatever
stops the asking (a lasting trouble, the budget, too many questions in a row without an answer), no new request is sent,
those under way are waited for, what they bring is handed over, and then one error is raised.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sensei_lite.annotators.chat.background import Outlet, run_in_background
from sensei_lite.annotators.chat.client import ChatClient, Completion, Endpoint, Trouble, require_openai
from sensei_lite.annotators.chat.limits import Limits, Pace, Price, Spent
from sensei_lite.annotators.chat.prompts import Messages

LONGEST_PAUSE = 30.0
"""Seconds between two tries, where the server names none."""

_log = logging.getLogger(__name__)


class ChatError(RuntimeError):
    """The asking cannot go on; the message names endpoint and model, and never the key."""


class BudgetSpent(ChatError):
    """The budget does not allow another call. Nothing is wrong: a larger one goes on where this ended."""


class Said(NamedTuple):
    """What the model said to one question."""

    question: int
    completion: Completion
    dollars: float
    """By the server's count of tokens; by the estimate where it sent none; 0 where no price is known."""


class ChatAsker:
    """Puts questions to one model at one endpoint, within limits.

    Args:
        base_url: address of the endpoint (see `Endpoint.at`).
        settings: ``model``, ``temperature`` and the like, as the protocol calls them.
        limits: how hard, how long and how much to ask.
        price: of the model's tokens; None: not known.
        structured: hold comparisons to a JSON schema, unless the server turns out not to take one.

    Raises ValueError where dollars are limited and there is no price, or for an address that is none, and ImportError
    without the ``openai`` package.
    """

    def __init__(
        self, base_url: str | None, settings: dict[str, Any], limits: Limits, price: Price | None, structured: bool
    ) -> None:
        if limits.budget_dollars is not None and price is None:
            raise ValueError("budget_dollars needs a price: give price=Price(...)")
        require_openai()  # what is wrong is known now, not at the first question
        self.endpoint = Endpoint.at(base_url)
        self.limits, self.price, self.spent = limits, price, Spent()
        self._settings, self._structured = settings, structured
        self._pace = Pace(limits.requests_per_minute)
        self._failures_in_a_row = 0

    def ask_all(
        self, questions: Sequence[Callable[[], Messages]], *, estimate: float, structured: bool
    ) -> Iterator[Said]:
        """Ask all questions, and yield what is said as it comes.

        Args:
            questions: each makes its messages when it is its turn.
            estimate: what one of them may cost, in dollars.
            structured: these are comparisons, to be answered by the schema.

        Raises ChatError, or BudgetSpent, when nothing more can be had and what was said is yielded.
        """
        run = _Run(questions, estimate, structured)
        concurrency = self.limits.concurrency
        yield from run_in_background(lambda outlet: self._work(run, outlet), concurrency)
        if run.reason is not None:
            raise run.reason

    async def _work(self, run: "_Run", outlet: Outlet[Said]) -> None:
        client = ChatClient(self.endpoint, self.limits.timeout)
        left = iter(range(len(run.questions)))  # shared: each worker takes the next one

        async def worker() -> None:
            for question in left:
                await outlet.room()
                said = await self._ask(client, run, question)
                if said is None:
                    outlet.release()
                else:
                    outlet.put(said)
                if run.halted.is_set():
                    return

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self.limits.concurrency, len(run.questions))):
                    workers.create_task(worker())
        finally:
            await client.close()

    async def _ask(self, client: ChatClient, run: "_Run", question: int) -> Said | None:
        """One question with its retries. None: it was not answered."""
        messages = run.questions[question]()
        tries = 0
        while await self._may_start(run):
            structured = run.structured and self._structured
            result = await self._request(client, run, messages, structured)
            if isinstance(result, Completion):
                self._failures_in_a_row = 0
                return Said(question, result, self._account(run, result))
            if structured and result.status in (400, 422):
                self._structured = False  # perhaps it was the schema: ask once more without
            elif result.lasting:
                run.stop(ChatError(f"{self._who} cannot go on: {result.text}"))
            elif tries == self.limits.retries:
                self._give_up(run, result)
                return None
            else:
                tries += 1
                await self._before_retry(run, result, tries)
        return None

    async def _may_start(self, run: "_Run") -> bool:
        """Wait for one's turn. False: nothing more is to be sent."""
        while not run.halted.is_set():
            if over := self._over_budget(run):
                run.stop(BudgetSpent(f"{self._who}: the budget of {over} is spent; a larger one goes on from here"))
                return False
            now = asyncio.get_running_loop().time()
            wait = self._pace.wait(now)
            if wait <= 0:
                self._pace.start(now)
                return True
            await run.pause(wait)
        return False

    def _over_budget(self, run: "_Run") -> str:
        calls, dollars = self.limits.budget_calls, self.limits.budget_dollars
        if calls is not None and self.spent.calls >= calls:
            return f"{calls} calls"
        # Rounding errors of a sum must not keep the last call of a budget that is a multiple of the price.
        if dollars is not None and self.spent.dollars + (run.under_way + 1) * run.expected > dollars + 1e-9:
            return f"${dollars}"
        return ""

    async def _request(
        self, client: ChatClient, run: "_Run", messages: Messages, structured: bool
    ) -> Completion | Trouble:
        self.spent.calls += 1
        run.under_way += 1
        try:
            return await client.complete(messages, structured=structured, **self._settings)
        finally:
            run.under_way -= 1

    def _account(self, run: "_Run", completion: Completion) -> float:
        tokens_in, tokens_out = completion.input_tokens, completion.output_tokens
        self.spent.input_tokens += tokens_in or 0
        self.spent.output_tokens += tokens_out or 0
        if self.price is None:
            return 0.0
        counted = tokens_in is not None and tokens_out is not None
        dollars = self.price.dollars(tokens_in or 0, tokens_out or 0) if counted else run.estimate
        run.dearest = dollars if run.dearest is None else max(run.dearest, dollars)
        self.spent.dollars += dollars
        return dollars

    async def _before_retry(self, run: "_Run", trouble: Trouble, tries: int) -> None:
        if trouble.retry_after is not None:  # it is meant for everybody who asks
            self._pace.hold(asyncio.get_running_loop().time() + trouble.retry_after)
        else:
            # At random, so that requests which failed together do not come back together.
            await run.pause(min(self.limits.backoff * 2 ** (tries - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.5))

    def _give_up(self, run: "_Run", trouble: Trouble) -> None:
        self.spent.unanswered += 1
        self._failures_in_a_row += 1
        _log.warning("%s: a question stays without an answer: %s", self._who, trouble.text)
        if self._failures_in_a_row >= self.limits.give_up_after:
            number, self._failures_in_a_row = self._failures_in_a_row, 0
            run.stop(ChatError(f"{self._who} gave no answer to {number} questions in a row, at last: {trouble.text}"))

    @property
    def _who(self) -> str:
        return f"{self._settings['model']} at {self.endpoint.shown}"


class _Run:
    """What the workers of one `ask_all` share; all of them live in one event loop."""

    def __init__(self, questions: Sequence[Callable[[], Messages]], estimate: float, structured: bool) -> None:
        self.questions, self.estimate, self.structured = questions, estimate, structured
        self.halted = asyncio.Event()
        self.reason: ChatError | None = None
        self.under_way = 0
        self.dearest: float | None = None

    @property
    def expected(self) -> float:
        """Dollars of the next call."""
        return self.estimate if self.dearest is None else self.dearest

    def stop(self, reason: ChatError) -> None:
        """Send nothing more. The first reason counts."""
        self.reason = self.reason or reason
        self.halted.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until all is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.halted.wait(), seconds)
