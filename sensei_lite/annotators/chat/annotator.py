"""Ask a vision-language model which image is more interesting: any chat endpoint that speaks OpenAI's protocol.

    (image a, image b, words)  ->  model  ->  "second"  ->  Answer.SECOND

Source: SENSEI (arXiv 2503.01584) asks gpt-4-turbo at temperature 0.2 with images of low detail. Here the model is a
setting: OpenAI's, or an open one behind vLLM, Ollama or llama.cpp. The words are in `prompts`; what a model means by
its own is read by `parser`; `client` sends the requests and keeps the `limits`. Built in notebook 05_vlm_annotation.
"""

import base64
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image as Picture

from sensei_lite.annotators.base import Annotator, Answer, HostImages, Reply
from sensei_lite.annotators.chat.client import ChatClient, ChatError
from sensei_lite.annotators.chat.limits import (
    ANSWER_TOKENS,
    DESCRIPTION_TOKENS,
    CostEstimate,
    Limits,
    Price,
    Usage,
    count_tokens,
)
from sensei_lite.annotators.chat.parser import parse_answer
from sensei_lite.annotators.chat.prompts import GENERIC, Messages, Prompt, comparison_messages, description_messages
from sensei_lite.annotators.data import check_images

DETAILS = ("low", "high", "auto")


class ChatAnnotator(Annotator):
    """A model behind a chat endpoint.

    The key comes from the environment variable OPENAI_API_KEY and from nowhere else. A local server that wants none
    needs none: name its ``base_url`` and leave the variable unset.

    Args:
        model: its name at the endpoint.
        base_url: address of the endpoint, such as ``http://localhost:8000/v1``; None: OpenAI's.
        prompt: the words. A general one without a description is described by the model first (see `describe`).
        temperature: of the model's sampling; None leaves it to the server. Paper: 0.2.
        detail: how closely the model is to look at an image: ``low``, ``high``, ``auto``. Paper: low.
        upscale: a smaller image is enlarged by the largest whole factor that keeps its longer side within so many
            pixels (each pixel becomes a square); 0 leaves it. OpenAI's low detail is 512 pixels.
        structured: hold the model to a JSON schema. A server that answers 400 or 422 to that is asked without one.
        max_answer_tokens: after so many tokens an answer is cut off; None: never. Models that reason need thousands.
        price: what the model costs; None: not known.
        limits: fields of `Limits`: ``concurrency``, ``requests_per_minute``, ``budget_calls``, ``budget_dollars``,
            ``timeout``, ``retries``, ``give_up_after``.

    Raises:
        ValueError: a setting makes no sense, or OpenAI is asked and there is no key.
        ImportError: the ``openai`` package is not installed.
    """

    name = "chat"

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        prompt: Prompt = GENERIC,
        temperature: float | None = 0.2,
        detail: str = "low",
        upscale: int = 512,
        structured: bool = True,
        max_answer_tokens: int | None = 500,
        price: Price | None = None,
        **limits: Any,
    ) -> None:
        if not model:
            raise ValueError("model is empty")
        if detail not in DETAILS:
            raise ValueError(f"detail is {detail!r}; it is one of {', '.join(DETAILS)}")
        for name, value, least in (
            ("temperature", temperature, 0),
            ("upscale", upscale, 0),
            ("max_answer_tokens", max_answer_tokens, 1),
        ):
            if value is not None and not value >= least:
                raise ValueError(f"{name} is {value}; it must be at least {least}")
        self.model, self.prompt, self.price = model, prompt, price
        self._detail, self._upscale = detail, upscale
        settings = {"model": model, "temperature": temperature, "max_completion_tokens": max_answer_tokens}
        self._client = ChatClient(base_url, settings, Limits(**limits), price, structured)
        self.endpoint = self._client.endpoint
        host = urlsplit(self.endpoint).hostname
        self.version = f"{model}@{host} temperature={temperature} detail={detail} upscale={upscale}"
        if not structured:
            self.version += " free-text"

    def __repr__(self) -> str:
        return f"ChatAnnotator(model={self.model!r}, endpoint={self.endpoint!r})"

    @property
    def prompt_hash(self) -> str:  # type: ignore[override]
        """The name of the words that are sent (see `Prompt.prompt_hash`).

        Raises ValueError for a general prompt that is not described yet: call `describe` first.
        """
        return self.prompt.prompt_hash

    @property
    def spent(self) -> Usage:
        """Calls, tokens and dollars so far, a description's included, and how many questions stayed unanswered."""
        return self._client.meter.usage

    def describe(self, image: np.ndarray) -> Prompt:
        """Have the model describe the environment from one image, if its prompt is general; return the prompt to keep.

        It is asked once only. To go on another day with the same words, keep the prompt (`prompts.save_prompt`) and
        give it to the next annotator: another description would make another prompt, and all questions new ones.

        Raises ChatError where the model gives no description; ValueError for what is no image [height width 3].
        """
        check_images(image[None])
        if self.prompt.is_complete:
            return self.prompt
        messages = description_messages(self.prompt, self._uri(image), self._detail)
        cost = self._dollars(self._tokens(messages, *image.shape[:2]), DESCRIPTION_TOKENS) or 0.0
        said = [completion for _, completion in self._client.ask_all([lambda: messages], cost, structured=False)]
        if not said or said[0].refused or not said[0].text.strip():
            why = f"it said {said[0].text.strip()[:200]!r}" if said else "no answer"
            raise ChatError(f"{self.model} at {self.endpoint} gave no description of the environment: {why}")
        self.prompt = self.prompt.with_description(said[0].text)
        return self.prompt

    def estimate(self, questions: int, height: int = 64, width: int = 64) -> CostEstimate:
        """Estimate what so many questions about images of this size will take (`limits` says how it is counted).

        A question is one request: a pair that is asked in both orders is two.
        """
        describe = 0 if self.prompt.is_complete or not questions else 1
        description = description_messages(self.prompt, "", self._detail)
        tokens_in = questions * self._tokens(self._compare("", ""), height, width)
        tokens_in += describe * (self._tokens(description, height, width) + questions * DESCRIPTION_TOKENS)
        tokens_out = questions * ANSWER_TOKENS + describe * DESCRIPTION_TOKENS
        dollars = self._dollars(tokens_in, tokens_out)
        return CostEstimate(questions, questions + describe, tokens_in, tokens_out, dollars)

    def annotate(self, images_a: HostImages, images_b: HostImages) -> Iterator[tuple[int, Reply]]:
        """Compare ``images_a[i]`` (first) with ``images_b[i]`` (second), for every i.

        Yields (i, reply) as replies come, each i at most once: questions that stayed without an answer after all
        retries are left out (see `spent`). At most ``concurrency`` replies are paid for and not yet taken, so that is
        what an early end loses; it waits for nothing. ``reply.cost`` is by the server's own count of tokens where it
        sends one; without a ``price`` it is 0.

        Raises:
            ValueError: images that are not uint8 [n height width 3], or not as many first as second ones.
            ChatError: the asking cannot go on, or five (``give_up_after``) questions in a row stayed unanswered. All
                replies that there are were yielded before.
            BudgetSpent: a ChatError that says that the budget ends here, with questions left.
        """
        check_images(images_a)
        check_images(images_b)
        if len(images_a) != len(images_b):
            raise ValueError(f"there are {len(images_a)} first images and {len(images_b)} second ones")
        return self._replies(images_a, images_b)

    def _replies(self, images_a: np.ndarray, images_b: np.ndarray) -> Iterator[tuple[int, Reply]]:
        if not len(images_a):
            return
        self.describe(images_a[0])
        cost = self._dollars(self._tokens(self._compare("", ""), *images_a.shape[1:3]), ANSWER_TOKENS) or 0.0
        questions = [
            lambda first=first, second=second: self._compare(self._uri(first), self._uri(second))
            for first, second in zip(images_a, images_b, strict=True)
        ]
        for question, said in self._client.ask_all(questions, cost, structured=True):
            answer = Answer.UNKNOWN if said.refused else parse_answer(said.text)
            yield question, Reply(answer, said.text, said.dollars)

    def _compare(self, first: str, second: str) -> Messages:
        return comparison_messages(self.prompt, first, second, self._detail)

    def _uri(self, image: np.ndarray) -> str:
        """Encode an image as a data URI: a PNG, enlarged."""
        factor = self._factor(*image.shape[:2])
        buffer = io.BytesIO()
        Picture.fromarray(image.repeat(factor, 0).repeat(factor, 1)).save(buffer, "PNG", compress_level=1)
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

    def _factor(self, height: int, width: int) -> int:
        return max(1, self._upscale // max(height, width))

    def _dollars(self, tokens_in: int, tokens_out: int) -> float | None:
        return None if self.price is None else self.price.dollars(tokens_in, tokens_out)

    def _tokens(self, messages: Messages, height: int, width: int) -> int:
        factor = self._factor(height, width)
        return count_tokens(messages, height * factor, width * factor, self._detail)
