"""What did a chat model say, and what did it mean? From the body of a reply to its words, and from them to an `Answer`.

    body  --read_completion-->  Completion  --parse_answer-->  FIRST, SECOND, TIE or UNKNOWN

Asked for ``{"answer": "second"}``, models also say "Image 2", "**Second**", a code fence with JSON in it, or three
sentences. The rule is to read what is clear and to guess nothing: words that could mean either, refusals and nonsense
are UNKNOWN, for a wrong answer teaches the reward something false and no answer only costs its price.

"Neither" to the question which is *more* interesting is read as a tie.
"""

import json
import re
from typing import NamedTuple

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.chat.endpoint import redact

_REFUSALS = {"content_filter", "content_policy_violation"}

_FIRST = r"(?:(?:image|picture|option|choice|number|no\.|#)\s*(?:1|one|a)\b|\bfirst\b|\b1st\b)"
_SECOND = r"(?:(?:image|picture|option|choice|number|no\.|#)\s*(?:2|two|b)\b|\bsecond\b|\b2nd\b)"
_EITHER = re.compile(rf"(?P<first>{_FIRST})|(?P<second>{_SECOND})")

_LONGEST = 20_000
"""Letters of an answer that are read, the last ones."""

_WHOLE = {
    Answer.FIRST: {"first", "1st", "1", "one", "a"},
    Answer.SECOND: {"second", "2nd", "2", "two", "b"},
    Answer.TIE: {"both", "tie", "equal", "equally", "same", "neither", "draw", "either"},
    Answer.UNKNOWN: {"unknown", "none", "null", "nan", "idk", "unsure", "unclear", "undecided", "no idea", "n/a", "0"},
}
"""Answers of one word, or as the only value in JSON."""

_NO_IDEA = re.compile(
    r"don'?t know|do not know|no idea|not sure|unsure|uncertain|sorry|unable|as an ai\b|refuse"
    r"|(?:cannot|can'?t|can not|could not|couldn'?t)\s+(?:\w+\s+)?"
    r"(?:tell|say|see|view|decide|determine|judge|compare|choose|help|assist|answer|provide)"
)
_TIE = re.compile(r"\b(?:both|equally|equal|neither|tie|tied|same)\b")
_NEGATION = re.compile(r"\b(?:not|no|never|neither|nor|hardly|than)\b|n't\b")
_VERB = re.compile(
    r"\b(?:answer|choice|verdict|choose|chose|pick|select|prefer|favou?r|interesting(?: one| image| picture)?)\b"
    r"[\s\"'*_:=\-]*(?:(?:is|are|was|would|be|goes|to)\b[\s\"'*_:=\-]*)*(?:the\s+|\(|\[)*$"
)
_OPENING = re.compile(
    rf"[\W_]*(?:(?:the|it is|it's|answer|i'd say)[\W_]+)*(?:{_EITHER.pattern})(?:\s+(?:image|one|picture))?"
    r"[\"'`*_)\]]*\s*(?:$|[.,;:!\n\u2013\u2014-]|because\b|since\b)"
)
# Aloud thinking: what comes after it counts. Some servers take away the tag that begins it, and some models never end.
_THINKING = re.compile(r".*</think(?:ing)?>|<think(?:ing)?>.*", re.DOTALL | re.IGNORECASE)
_OBJECT = re.compile(r"\{[^{}]*\}")
_KEYS = ("answer", "choice", "preference", "verdict", "selection", "more_interesting", "winner", "result", "image")


class Completion(NamedTuple):
    """What a model said."""

    text: str
    refused: bool
    """It would not, or was not allowed to, answer."""
    input_tokens: int | None
    """As the server counted; None where it did not say."""
    output_tokens: int | None
    dollars: float = 0.0
    """By the server's count of tokens; by the estimate where it sent none; 0 where no price is known."""


def read_completion(body: str) -> Completion:
    """Read the body of a reply; an error that says that the content was filtered is a refusal.

    The text is without the key. Raises ValueError where the body is no chat completion.
    """
    try:
        reply = json.loads(body)
        error = reply.get("error") or {}
        if error.get("code") in _REFUSALS:
            return Completion(redact(f"{error.get('message')} [ended: {error['code']}]"), True, None, None)
        choice = reply["choices"][0]
        message = choice["message"]
        text, refusal, reason = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        usage = dict(reply.get("usage") or {})
        if isinstance(text, list):  # parts of text
            text = "".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in text)
        if not isinstance(text, str | None):
            raise TypeError("content")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the reply is no chat completion: {body}") from error
    said = str(refusal or text or "")
    if reason in ("length", *_REFUSALS):  # part of what was said: an empty answer alone would not tell why
        said = f"{said} [ended: {reason}]".lstrip()
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return Completion(redact(said), bool(refusal) or reason in _REFUSALS, tokens_in, tokens_out)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def parse_answer(text: str) -> Answer:
    """Read a model's answer. Never raises: what cannot be read is UNKNOWN."""
    text = _THINKING.sub(" ", text[-_LONGEST:]).replace("\u2019", "'")
    stated = {_words(str(value).lower()) for value in map(_json_answer, _OBJECT.findall(text)) if value is not None}
    if stated:
        return stated.pop() if len(stated) == 1 else Answer.UNKNOWN
    return _words(text.lower().strip()[-_LONGEST // 5 :])


def _json_answer(text: str) -> object:
    """Return what an object in JSON holds as its answer; None where it is none."""
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    lower = {str(key).lower(): value for key, value in fields.items()}
    named = [lower[key] for key in _KEYS if key in lower]
    values = named[:1] or [value for value in lower.values() if len(lower) == 1 and isinstance(value, str)]
    return "null" if values == [None] else next(iter(values), None)


def _words(text: str) -> Answer:
    bare = " ".join(re.sub(r"[\"'`*_.,:;!?()\[\]{}<>\\]|```\w*", " ", text).split())
    bare = re.sub(r"^(?:json )?(?:(?:my )?(?:final )?answer |image |picture |option |the )*", "", bare)
    bare = re.sub(r" (?:image|picture|one)$", "", bare)
    for answer, words in _WHOLE.items():
        if bare in words:
            return answer
    if _NO_IDEA.search(text):
        return Answer.UNKNOWN
    verdicts = {verdict for sentence in re.split(r"[.;!?\n]+(?=\s|$)", text) for verdict in _verdicts(sentence)}
    if verdicts:
        return verdicts.pop() if len(verdicts) == 1 else Answer.UNKNOWN
    named = {match.lastgroup for match in _EITHER.finditer(text)}
    if _TIE.search(text):
        return Answer.TIE if len(named) != 1 else Answer.UNKNOWN
    # "The second image, because ...": whatever comes after, for a mere mention chooses nothing.
    opening = _OPENING.match(text)
    if opening and len(named) == 1:
        return Answer.FIRST if opening["first"] else Answer.SECOND
    return Answer.UNKNOWN


def _verdicts(sentence: str) -> set[Answer]:
    """Return what a sentence says outright: "I choose the second", "the first is more (less) interesting than ..."."""
    found = set()
    matches = list(_EITHER.finditer(sentence))
    ends = [following.start() for following in matches[1:]] + [len(sentence)]
    for match, end in zip(matches, ends, strict=False):
        before, after = sentence[: match.start()], sentence[match.end() : end]
        answer = Answer.FIRST if match.lastgroup == "first" else Answer.SECOND
        chosen = _VERB.search(before)
        compared = re.search(r"\b(more|less)\b", after)
        if chosen and not _NEGATION.search(before) and not re.search(r"\b(?:less|least)\b", before):
            found.add(answer)
        elif compared and not _NEGATION.search(before) and not _NEGATION.search(after[: compared.start()]):
            found.add(answer if compared[1] == "more" else answer.swapped())
    return found
