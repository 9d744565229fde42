"""The words that a chat model gets with two pictures, and the hash that ties its answer to them.

SENSEI's VLM sees two pictures and says which is the more interesting one, or both, or that it has no idea. Its paper
tells the VLM what to look for in one of two ways:

- *specific*: people describe the environment and what counts as interesting in it;
- *general* (SENSEI General): nobody describes anything. The VLM first sees one picture and is asked what this
  environment is, what the agent in it is, and what would be interesting to see. Its own answer is then the context of
  every comparison.

Source: Sancaktar et al. (arXiv 2503.01584). All words here are this project's own; the paper's answers are one coded
word, these are one word in JSON, the same for every world. Built in notebook 05_vlm_annotation.
"""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

Messages = list[dict[str, Any]]
"""What a chat endpoint takes: who says it, and text or pictures."""

CHOICES = ("first", "second", "both", "unknown")
"""The words that a model can answer with."""

ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": list(CHOICES)}},
    "required": ["answer"],
    "additionalProperties": False,
}
"""The same as a JSON schema, for servers that can hold a model to one."""

QUESTION = (
    "Which of the two images is more interesting? Judge what has happened and what the agent can do now, not how "
    "pretty or how colourful an image is, and not which one you were shown first.\n"
    'Answer with JSON only: {"answer": "first"} or {"answer": "second"}; {"answer": "both"} if they are equally '
    'interesting; {"answer": "unknown"} if you cannot tell.'
)

DESCRIBE = (
    "This is one image of an environment in which an agent can act. In at most 150 words, say: (1) what kind of "
    "environment this is and what there is in it; (2) what the agent is and how it shows; (3) what the agent could "
    "do here that would be interesting, and what the image would look like then, from the least to the most "
    "interesting."
)


@dataclasses.dataclass(frozen=True)
class Prompt:
    """The words of one way to ask. Like every setting it is data: write your own for your own world."""

    context: str
    """What the model is told before it compares (the system message)."""
    question: str = QUESTION
    """What it is asked when it has seen both images."""
    describe: str = ""
    """General prompts: what it is asked about a single image first. Empty for specific prompts."""
    description: str = ""
    """General prompts: what it answered to that. Empty until it was asked."""

    @property
    def is_complete(self) -> bool:
        """Comparisons can begin: there is nothing to describe, or it is described."""
        return not self.describe or bool(self.description)

    @functools.cached_property
    def prompt_hash(self) -> str:
        """The name of these words: it changes with any word that is sent, the model's own description included.

        Raises ValueError for a general prompt without a description: its words are not known yet.
        """
        if not self.is_complete:
            raise ValueError("a general prompt has no hash until a model has described the environment: describe first")
        # Taken from the very messages, with no pictures in them, so no word can be forgotten here.
        words = [comparison_messages(self, "", "", ""), ANSWER_SCHEMA]
        if self.describe:
            words.append(description_messages(self, "", ""))
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]

    def with_description(self, description: str) -> "Prompt":
        """The same prompt with a model's answer to ``describe``. Raises ValueError where there is nothing in it."""
        if not self.describe:
            raise ValueError("this prompt is specific: it has no question that a description would answer")
        if not description.strip():
            raise ValueError("description is empty; a general prompt needs one")
        return dataclasses.replace(self, description=description.strip())


def comparison_messages(prompt: Prompt, first: str, second: str, detail: str) -> Messages:
    """The messages that ask which of two images (as URIs) is more interesting.

    ``detail`` is how closely the model is to look at them: ``low``, ``high`` or ``auto``.
    """
    context = prompt.context
    if prompt.description:
        context += (
            f"\n\nThis is what you said about this environment when you saw one image of it:\n{prompt.description}"
        )
    content = [
        {"type": "text", "text": "First image:"},
        _picture(first, detail),
        {"type": "text", "text": "Second image:"},
        _picture(second, detail),
        {"type": "text", "text": prompt.question},
    ]
    return [{"role": "system", "content": context}, {"role": "user", "content": content}]


def description_messages(prompt: Prompt, image: str, detail: str) -> Messages:
    """The messages that ask what an environment is, from one image of it (as a URI)."""
    content = [_picture(image, detail), {"type": "text", "text": prompt.describe}]
    return [{"role": "user", "content": content}]


def _picture(uri: str, detail: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri, "detail": detail}}


_ROLE = "You compare two images, each one moment of an agent's life in an environment."

_GAME = (
    f"{_ROLE} The environment is a small computer game seen from above. A figure, the agent, walks over floor "
    "between walls. "
)

_NATIVE_LOOKS = (
    "The agent is blue with a round head. Black cells are dark: nothing is known about them yet. The strip at the "
    "bottom shows what the agent carries: an empty slot, or a golden key. Colours and patterns of floor and walls and "
    "marks on the floor mean nothing. "
)

_MINIHACK_LOOKS = (
    "It is drawn with the tiles of NetHack. The image shows only the few cells around the agent, who is in its "
    "middle; black cells hold nothing or were not seen. The slot at the bottom shows a golden key while the agent "
    "carries one. "
)

_KEYROOM_TASK = (
    "In the room is a closet behind a locked door. A key lies somewhere; whoever carries it can unlock the door, and "
    "inside the closet is the way out. "
)

_KEYROOM_INTEREST = (
    "An image is the more interesting the further the agent has come. From dull to interesting: an empty piece of "
    "floor; the key or the door in view; the agent carries the key; it stands at the locked door with the key; the "
    "door is open; the agent is in the doorway or in the closet, at the way out. Standing at the door without the key, "
    "or with the key but without opening it, is less interesting than an open door."
)

_KEYCHEST_TASK = (
    "Rooms lie along a corridor. In one of them lies a key, in another stands a locked chest that the key opens. "
)

_KEYCHEST_INTEREST = (
    "An image is the more interesting the further the agent has come. From dull to interesting: an empty corridor or "
    "room; a room that holds the key or the chest; the agent carries the key; it stands beside the chest with the "
    "key; the chest is open. Standing at the chest without the key, or with the key but without opening it, is less "
    "interesting than an open chest."
)

_TABLETOP = (
    f"{_ROLE} The environment is a robot's desk, seen by a camera in front of it and a little above. A dark gripper "
    "with two fingers hangs from a grey arm. On the wooden desk are a red ball, an upright blue block and a flat green "
    "block. In the front of the desk is a drawer with a white handle. At the back stand a cabinet with a sliding door, "
    "which also has a white handle, and an orange button with a lamp over it: yellow light means that the lamp is on. "
    "A dark spot below a thing is its shadow; where the two are apart, the thing is in the air. "
)

_TABLETOP_INTEREST = (
    "Things have their places, in a row across the middle of the desk: the ball on the left, the upright block in the "
    "middle, the flat block on the right. An image is the more interesting the more of these it shows at once: the "
    "ball is not in its place; a block is not in its place (each counts); the gripper holds something up in the air; "
    "the lamp is on; the cabinet's door is pushed aside; the drawer is pulled open; one block stands on the other. The "
    "dullest image is one in which all is in its place, closed and off, wherever the gripper is."
)

_POKEMON = (
    f"{_ROLE} The environment is Pokemon Red, played on a Game Boy: the image is its screen, in four greys. The agent "
    "is the player, the figure in the middle of the screen, who has a first Pokemon and walks through a world seen "
    "from above, with houses, towns and routes between them. Tall grass hides wild Pokemon, and other trainers stand "
    "in the way; whoever meets one gets into a battle, which has a screen of its own: the opponent at the top right, "
    "the player's Pokemon at the bottom left, with name, level and a bar of hit points each. "
)

_POKEMON_GOAL = (
    "The goal is to find and beat Brock, the leader of the first gym. The way there: out of Pallet Town and north "
    "along Route 1 to Viridian City, on along Route 2 and through the maze of Viridian Forest to Pewter City, and "
    "there into the gym, with Pokemon that battles have made strong. "
)

_POKEMON_INTEREST = (
    "An image is the more interesting the closer the player is to that goal. From dull to interesting: a menu or a "
    "text box that leads nowhere, or a figure that stands in a room; a house or a town near the start; a route, tall "
    "grass, the forest, a town further on; a battle; a battle that goes well, with the opponent's bar short and the "
    "player's long; a win, a higher level, a new Pokemon; the inside of the gym; the battle with Brock; the badge."
)

_ROBODESK = (
    f"{_ROLE} The environment is a robot's desk, seen by a camera at its right-hand end that looks along the desk. On "
    "the left of the image stands a white robot arm with a gripper; the brown wooden desk is on the right. In the side "
    "of the desk that faces the robot is a dark drawer with a grey handle. On the desk, near its edge, are three "
    "buttons in a row: red, green and blue; each has a lamp of its colour on top of the cabinet. Behind them are a "
    "pinkish red ball, a tall light blue block that stands upright, and a flat light green block. At the back of the "
    "desk stands a cabinet with a dark sliding door, which has a grey handle, too. A teal bin stands on the floor. "
)

_ROBODESK_INTEREST = (
    "An image is the more interesting the more the robot does with the things. From dull to interesting: the arm is "
    "stretched into the air or hangs away from everything; the gripper is above the desk; it touches a thing or a "
    "handle, or presses a button; a thing has been moved, tipped over or pushed off the desk, or the sliding door is "
    "pushed aside; the ball or a block is in the gripper and in the air; the drawer is pulled open; a thing lies in "
    "the bin or the cabinet, or one block stands on the other."
)

GENERIC = Prompt(
    f"{_ROLE} You do not know this environment: work out from the images where the agent is and what it does. An image "
    "is interesting if the agent has achieved something or is about to: it touches, carries, moves, opens or uses a "
    "thing, has reached a new place, or has changed the environment in a way that makes more things possible. An image "
    "is dull if nothing in it can be acted upon, or if the agent is far from everything. Mere looks (colours, "
    "textures, light, marks) do not count."
)
"""Specific about interest only: for any world."""

GENERAL = Prompt(_ROLE, describe=DESCRIBE)
"""SENSEI General: for any world. Nothing is described but by the model itself."""

SPECIFIC: dict[str, Prompt] = {
    "keyroom": Prompt(_GAME + _NATIVE_LOOKS + _KEYROOM_TASK + _KEYROOM_INTEREST),
    "keychest": Prompt(_GAME + _NATIVE_LOOKS + _KEYCHEST_TASK + _KEYCHEST_INTEREST),
    "minihack-keyroom": Prompt(_GAME + _MINIHACK_LOOKS + _KEYROOM_TASK + _KEYROOM_INTEREST),
    "minihack-keychest": Prompt(_GAME + _MINIHACK_LOOKS + _KEYCHEST_TASK + _KEYCHEST_INTEREST),
    "tabletop": Prompt(_TABLETOP + _TABLETOP_INTEREST),
    "pokemon": Prompt(_POKEMON + _POKEMON_GOAL + _POKEMON_INTEREST),
    "robodesk": Prompt(_ROBODESK + _ROBODESK_INTEREST),
}
"""By the beginning of a world's name in `sensei_lite.worlds.registry`."""

KINDS = ("specific", "general")


def prompt_for(world: str, kind: str = "specific") -> Prompt:
    """The prompt for a world by its name, such as ``keyroom-s15``; `GENERIC` for a world that is not known here.

    Raises ValueError where ``kind`` is neither ``specific`` nor ``general``.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; a prompt is one of {', '.join(KINDS)}")
    if kind == "general":
        return GENERAL
    return next((prompt for name, prompt in SPECIFIC.items() if world.startswith(name)), GENERIC)


def save_prompt(path: Path, prompt: Prompt) -> None:
    """Keep a prompt as JSON. A general one must be kept: a second description would be another prompt."""
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
