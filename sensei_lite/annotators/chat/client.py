"""One request to a chat endpoint: send it, and say what came of it.

Three things can come back. A `Completion`: the model said something. A passing `Trouble`: too many requests, an error
inside the server, a lost connection, an answer that is not what the protocol says; asking again may help. A lasting
`Trouble`: a wrong key, an unknown model, a request that the server does not take; asking again cannot help.

The protocol is OpenAI's, which vLLM, Ollama and llama.cpp speak too. The key is read from the environment variable
OPENAI_API_KEY when requests are made and is taken out of every text that leaves this module. A server that needs no key
is given a placeholder when the variable is not set; when it is set, every server that is named is sent it.
"""

import email.utils
import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sensei_lite.annotators.chat.prompts import ANSWER_SCHEMA, Messages

KEY_VARIABLE = "OPENAI_API_KEY"
LONGEST_WAIT = 300.0
"""Seconds. A server that asks to wait longer is a lasting trouble: better to stop, and to go on another time."""
LONGEST_TEXT = 300
"""Letters of a server's error text that are passed on."""

_NO_KEY = "no-key"
_PASSING = {408, 409, 425, 429}
_REFUSALS = {"content_filter", "content_policy_violation"}
_KEY_LIKE = re.compile(r"\bsk-[\w*\-]{8,}|(?i:\bbearer\s+)[\w.\-]{16,}")


class Completion(NamedTuple):
    """What a model said."""

    text: str
    refused: bool
    """It would not, or was not allowed to, answer."""
    input_tokens: int | None
    """As the server counted; None where it did not say."""
    output_tokens: int | None


class Trouble(NamedTuple):
    """Why there is no completion."""

    text: str
    lasting: bool
    status: int | None = None
    """Of HTTP, where there was one."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""


def require_openai() -> Any:
    """The ``openai`` package, or an ImportError that says how to get it."""
    try:
        import openai
    except ImportError as error:
        raise ImportError(f'a chat model needs an extra: pip install "sensei-lite[vlm]" ({error})') from error
    return openai


def redact(text: str) -> str:
    """The text without the key, and without what looks like one."""
    if key := _key():
        # A local server's key can be as short as "x", and then not every letter x is a secret.
        text = re.sub(re.escape(key) if len(key) >= 8 else rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", text)
    return _KEY_LIKE.sub("[key]", text)


def _key() -> str:
    return os.environ.get(KEY_VARIABLE, "").strip()


class Endpoint(NamedTuple):
    """Where to ask."""

    url: str
    """The address to use. It can hold a password, or a key after its question mark, so it is not for showing."""
    host: str
    shown: str
    """The address to show."""

    @classmethod
    def at(cls, base_url: str | None) -> "Endpoint":
        """The endpoint at this address; None: that of the variable OPENAI_BASE_URL, or OpenAI's.

        Raises ValueError for an address that is none, or where OpenAI is to be asked and the environment has no key.
        """
        url = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must be an address such as http://localhost:8000/v1")
        port = f":{parts.port}" if parts.port else ""
        shown = redact(f"{parts.scheme}://{parts.hostname}{port}{parts.path}")
        if parts.hostname == "api.openai.com" and not _key():
            raise ValueError(f"{shown} needs a key: set the environment variable {KEY_VARIABLE}")
        return cls(url, parts.hostname, shown)

    def __repr__(self) -> str:
        return f"Endpoint({self.shown!r})"


class ChatClient:
    """A connection to one endpoint; to be used, and closed, within one event loop."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        # Retries are the caller's: each of them counts for its budget, its pace and its early end.
        self._client = require_openai().AsyncOpenAI(
            api_key=_key() or _NO_KEY, base_url=endpoint.url, timeout=timeout, max_retries=0
        )

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.close()

    async def complete(self, messages: Messages, *, structured: bool, **settings: Any) -> Completion | Trouble:
        """Send one request. Never raises, and never tells the key.

        Args:
            messages: what to say.
            structured: ask the server to hold the model to `ANSWER_SCHEMA`.
            settings: ``model``, and others of the protocol; those that are None are not sent.
        """
        import openai

        settings = {name: value for name, value in settings.items() if value is not None}
        if structured:
            json_schema = {"name": "answer", "strict": True, "schema": ANSWER_SCHEMA}
            settings["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        try:
            response = await self._client.chat.completions.with_raw_response.create(messages=messages, **settings)
            return read_completion(response.http_response.text)
        except openai.APIStatusError as error:
            return _refusal_or_trouble(error.status_code, error.response.headers, error.body, str(error))
        except openai.APITimeoutError:
            return Trouble("no answer in time", lasting=False)
        except openai.APIConnectionError as error:
            return Trouble(_short(f"connection lost or refused: {error.__cause__ or error}"), lasting=False)
        except Exception as error:  # whatever it is, its traceback holds the request, and that holds the key
            return Trouble(_short(f"{type(error).__name__}: {error}"), lasting=True)


def read_completion(body: str) -> Completion | Trouble:
    """Read the body of a reply. One that is not what the protocol says is a passing trouble (a proxy's page, often)."""
    malformed = Trouble(_short(f"the reply is no chat completion: {body}"), lasting=False)
    try:
        reply = json.loads(body)
        choice = reply["choices"][0]
        message = choice["message"]
        text, refusal, reason = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        usage = reply.get("usage") or {}
        tokens = [_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return malformed
    if isinstance(text, list):  # parts of text
        text = "".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in text)
    if not isinstance(text, str | None):
        return malformed
    refused = bool(refusal) or reason in _REFUSALS
    said = str(refusal or text or "")
    if reason in ("length", *_REFUSALS):  # part of what was said: an empty answer alone would not tell why
        said = f"{said} [ended: {reason}]".lstrip()
    return Completion(redact(said), refused, *tokens)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: in seconds, in milliseconds, or as a date."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except ValueError:
                continue
        if seconds == seconds:  # not NaN
            return max(0.0, seconds)
    return None


def _refusal_or_trouble(status: int, headers: Mapping[str, str], body: object, text: str) -> Completion | Trouble:
    code = str(body.get("code")) if isinstance(body, dict) else ""
    if code in _REFUSALS:
        return Completion(_short(f"{text} [ended: {code}]"), True, None, None)
    wait = retry_after(headers)
    lasting = not (status in _PASSING or status >= 500) or code == "insufficient_quota"
    if wait is not None and wait > LONGEST_WAIT:
        lasting = True
        text = f"the server asks to wait {wait:.0f} s. {text}"
    return Trouble(_short(text), lasting, status, wait)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _short(text: str) -> str:
    text = redact(" ".join(text.split()))
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ..."
