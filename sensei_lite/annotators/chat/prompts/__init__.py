"""The prompts: what a chat model is told and asked beside two images, and the hash that ties its answers to the words.

SENSEI's VLM sees two images and says which is the more interesting one, or both, or that it cannot tell. Its paper
tells the VLM what to look for in one of two ways:

- *specific*: people describe the environment and what counts as interesting in it;
- *general* (SENSEI General): nobody describes anything. The VLM first sees one image and is asked what this environment
  is, what the agent in it is, and what would be interesting to see. Its own answer is then the context of every
  comparison.

The texts are the .txt files of this folder. There the lines of a paragraph are one line, and an empty line is a line
break. Source: Sancaktar et al. (arXiv 2503.01584). All words are this project's own; the paper's answers are one coded
word, these are one word in JSON, the same for every world. Built in notebook 05_vlm_annotation.
"""

import dataclasses
import functools
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

Messages = list[dict[str, Any]]
"""What a chat endpoint takes: roles, each with text or images."""

ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["first", "second", "both", "unknown"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
"""The JSON schema of an answer, for servers that can hold a model to one."""


def read_text(name: str) -> str:
    """Read one text of this folder by its name without ``.txt``. Raises FileNotFoundError where there is none."""
    paragraphs = resources.files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8").split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


@dataclasses.dataclass(frozen=True)
class Prompt:
    """The words of one way to ask. Like every setting it is data: write your own for your own world."""

    context: str
    """What the model is told before it compares (the system message)."""
    question: str = read_text("question")
    """What it is asked when it has seen both images."""
    describe: str = ""
    """General prompts: what it is asked about a single image first. Empty for specific prompts."""
    description: str = ""
    """General prompts: what it answered to that. Empty until it was asked."""

    @property
    def is_complete(self) -> bool:
        """Whether comparisons can begin: there is nothing to describe, or it is described."""
        return not self.describe or bool(self.description)

    @functools.cached_property
    def prompt_hash(self) -> str:
        """The name of these words: it changes with any word that is sent, the model's own description included.

        Raises ValueError for a general prompt without a description: its words are not known yet.
        """
        if not self.is_complete:
            raise ValueError("a general prompt has no hash until a model has described the environment: describe first")
        # Taken from the very messages, with no images in them, so no word can be forgotten here.
        words = [comparison_messages(self, "", "", ""), ANSWER_SCHEMA]
        if self.describe:
            words.append(description_messages(self, "", ""))
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]

    def with_description(self, description: str) -> "Prompt":
        """Return this prompt with a model's answer to ``describe``.

        Raises ValueError where the description is empty, or the prompt is specific.
        """
        if not self.describe or not description.strip():
            raise ValueError("a description is for general prompts, which ask for one, and is not empty")
        return dataclasses.replace(self, description=description.strip())


def comparison_messages(prompt: Prompt, first: str, second: str, detail: str) -> Messages:
    """Return the messages that ask which of two images (as URIs) is more interesting.

    ``detail`` is how closely the model is to look at them: ``low``, ``high`` or ``auto``.
    """
    context = prompt.context
    if prompt.description:
        context += (
            f"\n\nThis is what you said about this environment when you saw one image of it:\n{prompt.description}"
        )
    content = [
        _text_part("First image:"),
        _image_part(first, detail),
        _text_part("Second image:"),
        _image_part(second, detail),
        _text_part(prompt.question),
    ]
    return [{"role": "system", "content": context}, {"role": "user", "content": content}]


def description_messages(prompt: Prompt, image: str, detail: str) -> Messages:
    """Return the messages that ask what an environment is, from one image of it (as a URI)."""
    return [{"role": "user", "content": [_image_part(image, detail), _text_part(prompt.describe)]}]


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image_part(uri: str, detail: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri, "detail": detail}}


GENERIC = Prompt(read_text("generic"))
"""Specific about interest only: for any world."""

GENERAL = Prompt(read_text("general"), describe=read_text("describe"))
"""SENSEI General: for any world. Nothing is described but by the model itself."""

SPECIFIC: dict[str, Prompt] = {
    world: Prompt(read_text(world))
    for world in ("keyroom", "keychest", "minihack-keyroom", "minihack-keychest", "tabletop", "pokemon", "robodesk")
}
"""By the beginning of a world's name in `sensei_lite.worlds.registry`."""

KINDS = ("specific", "general")


def prompt_for(world: str, kind: str = "specific") -> Prompt:
    """Return the prompt for a world by its name, such as ``keyroom-s15``; `GENERIC` for a world that has none.

    Raises ValueError where ``kind`` is neither ``specific`` nor ``general``.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; a prompt is one of {', '.join(KINDS)}")
    if kind == "general":
        return GENERAL
    return next((prompt for name, prompt in SPECIFIC.items() if world.startswith(name)), GENERIC)


def save_prompt(path: Path, prompt: Prompt) -> None:
    """Write a prompt as JSON. A general one must be kept: a second description would be another prompt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(json.dumps(dataclasses.asdict(prompt), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)


def load_prompt(path: Path) -> Prompt:
    """Read what `save_prompt` wrote. Raises FileNotFoundError, or ValueError where the file is no prompt."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(fields, dict) or not all(isinstance(words, str) for words in fields.values()):
            raise ValueError("it is not a table of texts")
        return Prompt(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no prompt: {error}") from error
