"""The words are data; their hash covers all of them; the parser reads what is clear and guesses nothing."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.chat import prompts
from sensei_lite.annotators.chat.parser import parse_answer
from sensei_lite.annotators.chat.prompts import (
    GENERAL,
    GENERIC,
    SPECIFIC,
    Prompt,
    comparison_messages,
    description_messages,
    load_prompt,
    prompt_for,
    save_prompt,
)
from sensei_lite.worlds.registry import world_names

DESCRIBED = GENERAL.with_description("A maze with a mouse in it.")


def test_every_world_of_the_catalogue_has_a_prompt_of_its_own():
    chosen = {name: prompt_for(name) for name in world_names()}
    assert GENERIC not in chosen.values()
    assert chosen["keyroom"] is chosen["keyroom-s15"] is SPECIFIC["keyroom"]
    assert chosen["minihack-keychest"] is SPECIFIC["minihack-keychest"]
    assert len({prompt.prompt_hash for prompt in SPECIFIC.values()} | {GENERIC.prompt_hash}) == len(SPECIFIC) + 1
    assert prompt_for("gymnasium:Taxi-v3") is GENERIC
    assert prompt_for("keyroom", "general") is prompt_for("gymnasium:Taxi-v3", "general") is GENERAL


def test_a_prompt_of_no_kind_is_refused():
    with pytest.raises(ValueError, match="kind is 'exact'"):
        prompt_for("keyroom", "exact")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Prompt)])
def test_the_hash_changes_with_every_field(field):
    changed = dataclasses.replace(DESCRIBED, **{field: getattr(DESCRIBED, field) + "!"})
    assert changed.prompt_hash != DESCRIBED.prompt_hash
    assert dataclasses.replace(DESCRIBED).prompt_hash == DESCRIBED.prompt_hash


def test_the_hash_changes_with_the_words_that_are_no_field(monkeypatch):
    before = dataclasses.replace(GENERIC).prompt_hash
    monkeypatch.setattr(prompts, "ANSWER_SCHEMA", {"type": "string"})
    assert dataclasses.replace(GENERIC).prompt_hash != before
    monkeypatch.undo()
    original = prompts.comparison_messages

    def other_labels(*arguments: object) -> object:
        return json.loads(json.dumps(original(*arguments)).replace("First image:", "Image A:"))

    monkeypatch.setattr(prompts, "comparison_messages", other_labels)
    assert dataclasses.replace(GENERIC).prompt_hash != before


def test_the_hash_is_the_same_in_every_process_and_version():
    # Stored answers are found by it. A change of the words is a new prompt, and this test then says so.
    assert Prompt("context", "question").prompt_hash == "8f3dd86c87345fbc"
    assert {world: prompt.prompt_hash for world, prompt in SPECIFIC.items()} == {
        "keyroom": "654a611bbeec8925",
        "keychest": "596c0df38792c9cf",
        "minihack-keyroom": "921ec011e3c54929",
        "minihack-keychest": "cfb2bf159fa4fe9e",
        "tabletop": "0fab5dadb11dcff3",
        "pokemon": "db5a2d7d5f7c7c69",
        "robodesk": "08076b90fa86a710",
    }
    assert GENERIC.prompt_hash == "efa91694934401a2"
    assert DESCRIBED.prompt_hash == "056dd4db4a7acfc0"


def test_a_general_prompt_without_a_description_has_no_hash():
    assert not GENERAL.is_complete
    with pytest.raises(ValueError, match="describe first"):
        _ = GENERAL.prompt_hash
    assert DESCRIBED.is_complete


def test_the_models_own_description_is_the_context():
    words = json.dumps(comparison_messages(DESCRIBED, "uri-a", "uri-b", "low"))
    assert "A maze with a mouse in it." in words
    assert words.index("First image:") < words.index("uri-a") < words.index("Second image:") < words.index("uri-b")
    assert GENERAL.describe in json.dumps(description_messages(GENERAL, "uri", "low"))


def test_descriptions_are_for_general_prompts_and_not_empty():
    with pytest.raises(ValueError, match="general prompts"):
        GENERIC.with_description("A maze.")
    with pytest.raises(ValueError, match="empty"):
        GENERAL.with_description(" \n")


def test_a_prompt_can_be_kept(tmp_path):
    prompt = GENERAL.with_description("Ein Gang, „dunkel“.")
    save_prompt(tmp_path / "deep" / "prompt.json", prompt)
    assert load_prompt(tmp_path / "deep" / "prompt.json") == prompt
    assert load_prompt(tmp_path / "deep" / "prompt.json").prompt_hash == prompt.prompt_hash


@pytest.mark.parametrize("text", ["", "[]", '{"question": "?"}', '{"context": 3}', '{"context": "a", "b": "c"}', "\0"])
def test_a_file_that_is_no_prompt_is_refused(tmp_path, text):
    path = tmp_path / "prompt.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"prompt\.json holds no prompt"):
        load_prompt(path)


# --- what a model meant ----------------------------------------------------------------------------------------------

FIRST_WORDS = [
    "first",
    "First.",
    "1",
    "**First**",
    "Image 1",
    "the first image",
    "The first one",
    "Answer: first",
    "My final answer: Image 1.",
    '"first"',
    '{"answer": "first"}',
    '{"answer": "First"}',
    '{"answer": 1}',
    '{"Answer": "Image 1"}',
    '```json\n{"answer": "first"}\n```',
    "```\nfirst\n```",
    'Sure! Here it is: {"answer": "first"} - as the agent holds a key.',
    '{"reason": "the second is dull", "answer": "first"}',
    "<think>The second image ... or both?</think>first",
    '<think>I choose the second.</think>\n\n{"answer": "first"}',
    "It could be the second. Or both? No.\n</think>\nfirst",
    "I choose the first image.",
    "I would pick image 1, because it shows a key.",
    "The first image is more interesting than the second.",
    "The second image is less interesting than the first.",
    "The second image shows an empty room. The first image is more interesting.",
    "Both images show a room, but the first image is more interesting.",
    "The more interesting image is the first.",
    "The more interesting one is: **Image 1**",
    "It's the first one because it shows a key.",
    "Image 1, for the agent is next to the door.",
    "I prefer the first over the second.",
    "The first image.\nIt shows the key in the agent's hand.",
]
TIES = [
    "both",
    "Both.",
    "neither",
    "Neither",
    "tie",
    '{"answer": "both"}',
    '{"answer": "Both images"}',
    "Both images are equally interesting.",
    "Neither image is more interesting than the other.",
    "Neither the first nor the second image is more interesting.",
    "The first and the second image are the same.",
]
UNCLEAR = [
    "",
    " ",
    "unknown",
    "I don't know.",
    "I don\u2019t know which one",
    "No idea",
    '{"answer": "unknown"}',
    '{"answer": null}',
    "{}",
    "null",
    "I'm sorry, but I can't help with the first image.",
    "I cannot see any images.",
    "As an AI, I have no preferences.",
    "Purple monkey dishwasher",
    "3",
    "12",
    "The first image shows an empty room. The agent",
    "Image 1 shows the agent next to the door.",
    "The first image is not more interesting.",
    "I would not choose the first.",
    "The first image shows a key and the second image shows a door.",
    '{"answer": "first"} {"answer": "second"}',
    "<think>The first is more interesting",
    "The first is more interesting. The second is more interesting.",
    '{"answer": {"x": 1}}',
    '{"confidence": 1}',
    "{" * 5000,
    "a key",
]


def exchanged(text: str) -> str:
    """The same words about the two images in the other order."""
    for one, other in (("first", "second"), ("First", "Second"), ("mage 1", "mage 2"), (": 1", ": 2")):
        text = text.replace(one, "\0").replace(other, one).replace("\0", other)
    return {"1": "2"}.get(text, text)


@pytest.mark.parametrize("text", FIRST_WORDS)
def test_a_clear_choice_is_read_whichever_image_it_is(text):
    assert parse_answer(text) is Answer.FIRST
    assert exchanged(text) != text
    assert parse_answer(exchanged(text)) is Answer.SECOND


@pytest.mark.parametrize("text", TIES)
def test_ties_are_read(text):
    assert parse_answer(text) is parse_answer(exchanged(text)) is Answer.TIE


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_is_unclear_is_unknown(text):
    assert parse_answer(text) is parse_answer(exchanged(text)) is Answer.UNKNOWN


@given(st.text())
def test_no_text_breaks_the_parser(text):
    assert parse_answer(text) in Answer


WORDS = ["first", "second", "image", "1", "2", "both", "not", "more", "less", "interesting", "is", "the", "I", "choose"]
WORDS += ["than", "{", "}", '"', "answer", ":", ".", ",", "\n", "<think>", "</think>", "null", "neither", "```", "json"]


@given(st.lists(st.sampled_from(WORDS)))
def test_no_choice_depends_on_which_image_is_called_first(words):
    swap = {"first": "second", "second": "first", "1": "2", "2": "1"}
    text, other = " ".join(words), " ".join(swap.get(word, word) for word in words)
    assert parse_answer(other) is parse_answer(text).swapped()
