"""The chat annotator against a real server: exactly so many calls and replies, whatever the server does."""

import gc
import itertools
import logging
import socket
import threading
import traceback

import numpy as np
import pytest
from chat_server import Served, brighter, chat_server, chooses, fails, says

from sensei_lite.annotators.base import Answer
from sensei_lite.annotators.chat import GENERIC, BudgetSpent, ChatAnnotator, ChatError, Price
from sensei_lite.annotators.chat.client import THREAD_NAME, ChatClient
from sensei_lite.annotators.chat.endpoint import KEY_VARIABLE, redact
from sensei_lite.annotators.chat.limits import Limits, Meter, image_tokens
from sensei_lite.annotators.chat.prompts import GENERAL

KEY = "sk-loopback-0123456789abcdef"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)  # seconds


@pytest.fixture(scope="module")
def loopback():
    with chat_server(brighter) as server:
        yield server


@pytest.fixture
def server(loopback):
    loopback.reset(brighter)
    yield loopback
    wait_for_requests()


def wait_for_requests():
    """An early end leaves requests under way; each must end with its reply."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(30)
            assert not thread.is_alive()


def annotator(server, **settings):
    return ChatAnnotator("tiny", server.url, **{"retries": 2, "upscale": 0, **settings})


def grey(*levels: int) -> np.ndarray:
    return np.array(levels, np.uint8).reshape(-1, 1, 1, 1).repeat(8, 1).repeat(6, 2).repeat(3, 3)


def pairs(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The first picture of each pair is the brighter one; its level is 100 more than the pair's number."""
    return grey(*range(100, 100 + number)), grey(*range(number))


def collect(iterator):
    """What is yielded, and the error after it."""
    got = []
    try:
        for item in iterator:
            got.append(item)
    except ChatError as error:
        return got, error
    return got, None


# --- what is asked, and what is made of the answer -------------------------------------------------------------------


def test_the_brighter_picture_is_found_in_both_orders(server):
    levels = np.random.default_rng(0).permutation(256)[:24].astype(int)
    first, second = levels[:12], levels[12:]
    expected = [Answer.FIRST if a > b else Answer.SECOND for a, b in zip(first, second, strict=True)]
    assert set(expected) == {Answer.FIRST, Answer.SECOND}
    there = dict(annotator(server).annotate(grey(*first), grey(*second)))
    back = dict(annotator(server).annotate(grey(*second), grey(*first)))
    assert server.calls == 24
    assert [there[i].answer for i in range(12)] == expected
    assert [back[i].answer.swapped() for i in range(12)] == expected


def test_pictures_arrive_as_they_are_and_enlarged_by_whole_pixels(server):
    a, b = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 6, 3), dtype=np.uint8)
    list(annotator(server).annotate(a, b))
    list(annotator(server, upscale=20).annotate(a, b))
    plain, large = server.asked
    assert (plain.images[0] == a[0]).all()
    assert (plain.images[1] == b[0]).all()
    assert large.images[0].shape == (16, 12, 3)
    assert (large.images[0] == a[0].repeat(2, 0).repeat(2, 1)).all()


def test_what_is_sent(server):
    list(annotator(server, temperature=0.7, detail="high").annotate(*pairs(1)))
    list(annotator(server, temperature=None, structured=False, max_answer_tokens=None).annotate(*pairs(1)))
    full, bare = (asked.body for asked in server.asked)
    assert full["model"] == "tiny"
    assert full["temperature"] == 0.7
    assert full["max_completion_tokens"] == 500
    assert full["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == [
        "first",
        "second",
        "both",
        "unknown",
    ]
    assert set(bare) == {"model", "messages"}
    system, user = full["messages"]
    assert system == {"role": "system", "content": GENERIC.context}
    pictures = [part["image_url"]["detail"] for part in user["content"] if part["type"] == "image_url"]
    assert pictures == ["high", "high"]
    assert user["content"][-1]["text"] == GENERIC.question


@pytest.mark.parametrize(
    ("served", "answer", "raw"),
    [
        (chooses("second"), Answer.SECOND, '{"answer": "second"}'),
        (chooses("both"), Answer.TIE, '{"answer": "both"}'),
        (chooses("unknown"), Answer.UNKNOWN, '{"answer": "unknown"}'),
        (says("I choose the second image."), Answer.SECOND, "I choose the second image."),
        (says("Purple."), Answer.UNKNOWN, "Purple."),
        (says(""), Answer.UNKNOWN, ""),
        (says(None), Answer.UNKNOWN, ""),
        (says(None, refusal="The first image."), Answer.UNKNOWN, "The first image."),
        (says([{"type": "text", "text": "first"}]), Answer.FIRST, "first"),
        (fails(400, "it was filtered", "content_filter"), Answer.UNKNOWN, None),
    ],
)
def test_every_reply_becomes_an_answer(server, served, answer, raw):
    server.respond = lambda _: served
    ((i, reply),) = annotator(server).annotate(*pairs(1))
    assert server.calls == 1
    assert (i, reply.answer) == (0, answer)
    assert reply.raw == raw if raw is not None else "filtered" in reply.raw


def test_an_answer_that_was_cut_off_says_so(server):
    served = says("The first image shows")
    served.body = served.body.replace('"stop"', '"length"')
    server.respond = lambda _: served
    ((_, reply),) = annotator(server).annotate(*pairs(1))
    assert reply.answer is Answer.UNKNOWN
    assert reply.raw == "The first image shows [ended: length]"


def test_no_questions_make_no_calls(server):
    assert list(annotator(server).annotate(*pairs(0))) == []
    assert server.calls == 0


# --- a server that fails ---------------------------------------------------------------------------------------------

PASSING = {
    "429": fails(429, retry_after="0"),
    "429, in milliseconds": fails(429, retry_after_ms="1"),
    "429, not saying when": fails(429),
    "500": fails(500),
    "503, as text": Served(503, "busy", {"Content-Type": "text/plain"}),
    "cut before": Served(cut="before"),
    "cut within": Served(body=chooses("first").body, cut="within"),
    "not JSON": Served(body="<html>gateway</html>", headers={"Content-Type": "text/html"}),
    "not JSON, says it is": Served(body="{oops"),
    "no choices": Served(body='{"choices": []}'),
    "another JSON": Served(body="[1, 2]"),
    "no text": Served(body='{"choices": [{"message": {"content": 3}}]}'),
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
def test_a_passing_trouble_is_retried_and_a_question_without_an_answer_left_out(server, trouble):
    """Twice for the first question, which is asked three times then; always for the second."""
    server.respond = lambda asked: trouble if asked.number < 2 or asked.images[0].max() == 101 else brighter(asked)
    asker = annotator(server, concurrency=1)
    replies, error = collect(asker.annotate(*pairs(4)))
    assert server.calls == asker.spent.calls == 3 + 3 + 1 + 1
    assert error is None
    assert {i: reply.answer for i, reply in replies} == dict.fromkeys([0, 2, 3], Answer.FIRST)
    assert asker.spent.unanswered == 1


def test_questions_in_a_row_without_an_answer_stop_everything(server):
    server.respond = lambda asked: fails(500, "on fire") if asked.number >= 2 else brighter(asked)
    asker = annotator(server, concurrency=1, give_up_after=3)
    replies, error = collect(asker.annotate(*pairs(20)))
    assert server.calls == 2 + 3 * (1 + 2)
    assert [i for i, _ in replies] == [0, 1]
    assert asker.spent.unanswered == 3
    for words in ("tiny", server.url, "3 questions in a row", "on fire"):
        assert words in str(error)
    server.respond = brighter  # the fire is out
    assert len(list(asker.annotate(*pairs(2)))) == 2


def test_failures_that_are_not_in_a_row_stop_nothing(server):
    server.respond = lambda asked: fails(500) if asked.images[0].max() % 2 else brighter(asked)
    asker = annotator(server, concurrency=1, retries=0, give_up_after=2)
    replies, error = collect(asker.annotate(*pairs(10)))
    assert server.calls == 10
    assert error is None
    assert len(replies) == asker.spent.unanswered == 5


LASTING = {
    "401": fails(401, f"Incorrect API key provided: {KEY}."),
    "403": fails(403, f"not for {KEY[:12]}"),
    "404": fails(404, "there is no model tiny"),
    "413": fails(413),
    "quota": fails(429, "no money left", "insufficient_quota"),
}


@pytest.mark.parametrize("trouble", LASTING.values(), ids=LASTING)
def test_a_lasting_trouble_stops_everything_after_what_is_there(server, trouble):
    server.respond = lambda asked: trouble if asked.number == 3 else brighter(asked)
    asker = annotator(server, concurrency=1)
    replies, error = collect(asker.annotate(*pairs(20)))
    assert server.calls == 4
    assert [i for i, _ in replies] == [0, 1, 2]
    assert "tiny" in str(error)
    assert server.url in str(error)
    assert KEY not in str(error)
    assert KEY[:12] not in str(error)


def test_what_is_under_way_when_trouble_comes_is_handed_over(server, monkeypatch):
    """Four are under way; one fails for good, and is known to have, while the other three wait for their answers."""
    stopped = threading.Event()
    arrived = threading.Barrier(4)
    why = ChatClient._reason_to_stop
    monkeypatch.setattr(ChatClient, "_reason_to_stop", lambda *those: (why(*those), stopped.set())[0])

    def respond(asked):
        arrived.wait(60)
        if asked.images[0].max() == 102:
            return fails(403, "no")
        stopped.wait(60)
        return brighter(asked)

    server.respond = respond
    replies, error = collect(annotator(server, concurrency=4).annotate(*pairs(20)))
    assert server.calls == 4
    assert "no" in str(error)
    assert sorted(i for i, _ in replies) == [0, 1, 3]


def test_no_server_is_a_clear_error():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        asker = ChatAnnotator("tiny", url, retries=2, concurrency=1, give_up_after=2)
        replies, error = collect(asker.annotate(*pairs(5)))
    assert replies == []
    assert asker.spent.calls == 2 * 3
    assert "connection lost or refused" in str(error)


def test_a_server_that_takes_too_long_is_asked_again(server):
    release = threading.Event()

    def respond(asked):
        if asked.number == 0:
            release.wait(10)
        return brighter(asked)

    server.respond = respond
    replies = dict(annotator(server, timeout=0.3, concurrency=1).annotate(*pairs(2)))
    release.set()
    assert server.calls == 3
    assert len(replies) == 2


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_schemas_is_asked_without(server, status):
    def respond(asked):
        return fails(status, "response_format?") if "response_format" in asked.body else brighter(asked)

    server.respond = respond
    asker = annotator(server, concurrency=1)
    assert len(dict(asker.annotate(*pairs(5)))) == 5
    assert len(dict(asker.annotate(*pairs(2)))) == 2
    assert server.calls == 1 + 7


def test_a_request_that_is_wrong_in_any_case_stops_everything(server):
    server.respond = lambda _: fails(400, "this model sees no images")
    replies, error = collect(annotator(server, concurrency=1).annotate(*pairs(5)))
    assert server.calls == 2  # with the schema and without
    assert "this model sees no images" in str(error)
    collect(annotator(server, concurrency=1, structured=False).annotate(*pairs(5)))
    assert server.calls == 3
    assert replies == []


# --- at once, in time, within the budget -----------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_are_asked_at_once_and_never_more(server, concurrency):
    """The server answers no one until as many as may be there at once are there."""
    arrived = threading.Barrier(concurrency)

    def respond(asked):
        arrived.wait(60)
        return brighter(asked)

    server.respond = respond
    replies = list(annotator(server, concurrency=concurrency).annotate(*pairs(4 * concurrency)))
    assert server.most_in_flight == concurrency
    assert server.calls == len(replies) == 4 * concurrency


def test_replies_come_as_they_are_there(server):
    """The first question is answered only after the second one's reply was handed over."""
    taken = threading.Event()

    def respond(asked):
        if asked.images[0].max() == 100:
            assert taken.wait(60)
        return brighter(asked)

    server.respond = respond
    replies = annotator(server, concurrency=2).annotate(*pairs(2))
    assert next(replies)[0] == 1
    taken.set()
    assert next(replies)[0] == 0


def test_turns_are_evenly_spaced():
    meter = Meter(Limits(requests_per_minute=600.0), None)
    assert [meter.take_turn(now) for now in (0.0, 0.0, 0.05, 5.0, 5.0)] == pytest.approx([0, 0.1, 0.15, 0, 0.1])
    free = Meter(Limits(), None)
    assert [free.take_turn(0.0) for _ in range(3)] == [0, 0, 0]


def test_every_request_takes_a_turn_a_retry_too(server, monkeypatch):
    turns = []
    monkeypatch.setattr(Meter, "take_turn", lambda meter, now: turns.append(now) or 0.0)
    server.respond = lambda asked: fails(500) if asked.number == 1 else brighter(asked)
    list(annotator(server).annotate(*pairs(6)))
    assert server.calls == len(turns) == 7


@pytest.mark.parametrize(("concurrency", "budget"), [(1, 7), (4, 7), (4, 2), (1, 0)])
def test_the_budget_in_calls_is_kept_exactly(server, concurrency, budget):
    asker = annotator(server, concurrency=concurrency, budget_calls=budget)
    replies, error = collect(asker.annotate(*pairs(20)))
    assert server.calls == len(replies) == asker.spent.calls == budget
    assert isinstance(error, BudgetSpent)
    assert f"budget of {budget} calls" in str(error)
    assert isinstance(collect(asker.annotate(*pairs(1)))[1], BudgetSpent)
    assert server.calls == budget


def test_a_budget_that_is_enough_is_no_error(server):
    replies, error = collect(annotator(server, budget_calls=20).annotate(*pairs(20)))
    assert len(replies) == server.calls == 20
    assert error is None


def test_repeated_calls_count_for_the_budget(server):
    server.respond = lambda asked: brighter(asked) if asked.number % 2 else fails(500)
    replies, error = collect(annotator(server, concurrency=1, budget_calls=5).annotate(*pairs(20)))
    assert server.calls == 5
    assert len(replies) == 2
    assert isinstance(error, BudgetSpent)


def test_the_budget_in_dollars_is_kept_and_costs_are_the_servers(server):
    price = Price(10.0, 50.0)  # 100 tokens in, 10 out: 0.0015 dollars
    asker = annotator(server, concurrency=1, price=price, budget_dollars=0.015)
    replies, error = collect(asker.annotate(*pairs(20)))
    assert server.calls == len(replies) == 10
    assert isinstance(error, BudgetSpent)
    assert [reply.cost for _, reply in replies] == pytest.approx([0.0015] * 10)
    assert asker.spent.dollars == pytest.approx(0.015)
    assert (asker.spent.input_tokens, asker.spent.output_tokens) == (1000, 100)


def test_dollars_are_never_passed_with_many_at_once(server):
    asker = annotator(server, concurrency=4, price=Price(10.0, 50.0), budget_dollars=0.015)
    replies, error = collect(asker.annotate(*pairs(20)))
    assert server.calls == len(replies) <= 10
    assert asker.spent.dollars <= 0.015 + 1e-12
    assert isinstance(error, BudgetSpent)


def test_a_request_without_a_reply_may_have_been_charged(server):
    """The connection is lost each time: what was reserved stays reserved, so the budget of four requests ends."""
    price = Price(10.0, 50.0)
    estimate = annotator(server, price=price).estimate(1, 8, 6).dollars
    server.respond = lambda _: Served(cut="before")
    asker = annotator(server, price=price, budget_dollars=4.5 * estimate, concurrency=1, retries=2)
    replies, error = collect(asker.annotate(*pairs(20)))
    assert replies == []
    assert server.calls == 4
    assert isinstance(error, BudgetSpent)


def test_an_error_costs_nothing(server):
    server.respond = lambda asked: brighter(asked) if asked.number % 2 else fails(500)
    asker = annotator(server, price=Price(10.0, 50.0), budget_dollars=0.015, concurrency=1)
    replies, error = collect(asker.annotate(*pairs(10)))
    assert len(replies) == 10
    assert error is None


def test_a_server_that_does_not_count_is_taken_to_cost_the_estimate(server):
    server.respond = lambda _: says("first", usage=None)
    asker = annotator(server, price=Price(1.0, 1.0))
    replies = dict(asker.annotate(*pairs(2)))
    expected = asker.estimate(1, 8, 6).dollars
    assert expected > 0
    assert [reply.cost for reply in replies.values()] == pytest.approx([expected] * 2)


def test_an_estimate_before_the_first_call(server):
    asker = annotator(server, price=Price(2.0, 8.0))
    one, many = asker.estimate(1), asker.estimate(1000)
    unknown = annotator(server).estimate(1000)
    general = annotator(server, prompt=GENERAL).estimate(1000)
    assert server.calls == 0
    words = len(GENERIC.context + GENERIC.question)
    assert 2 * 85 + words / 4 < one.input_tokens < 2 * 85 + words / 4 + 30
    assert many.input_tokens == 1000 * one.input_tokens
    assert many.calls == 1000
    assert many.dollars == pytest.approx((many.input_tokens * 2 + many.output_tokens * 8) / 1e6)
    assert "1,000 calls" in str(many)
    assert f"${many.dollars:,.2f}" in str(many)
    assert unknown.dollars is None
    assert "price not known" in str(unknown)
    assert general.calls == 1001


@pytest.mark.parametrize(
    ("height", "width", "detail", "tokens"),
    [
        (512, 512, "low", 85),
        (4096, 9, "low", 85),
        (1024, 1024, "high", 765),
        (4096, 2048, "high", 1105),
        (512, 512, "high", 255),
        (513, 512, "auto", 425),
    ],
)
def test_tokens_of_images_are_those_of_the_published_rule(height, width, detail, tokens):
    assert image_tokens(height, width, detail) == tokens


# --- the general prompt ----------------------------------------------------------------------------------------------


def describing(asked):
    return says("A cave with a bat in it.") if asked.describes else brighter(asked)


def test_a_general_prompt_asks_for_a_description_exactly_once_and_uses_it(server):
    server.respond = describing
    asker = annotator(server, prompt=GENERAL)
    with pytest.raises(ValueError, match="describe first"):
        _ = asker.prompt_hash
    assert len(list(asker.annotate(*pairs(6)))) == 6
    assert len(list(asker.annotate(*pairs(6)))) == 6
    assert server.calls == 1 + 12
    description, *comparisons = server.asked
    assert description.describes
    assert "response_format" not in description.body
    assert (description.images[0] == pairs(1)[0][0]).all()
    assert all("A cave with a bat in it." in asked.words and not asked.describes for asked in comparisons)
    assert asker.prompt_hash == GENERAL.with_description("A cave with a bat in it.").prompt_hash


def test_a_description_that_is_there_is_not_asked_for(server):
    server.respond = describing
    prompt = annotator(server, prompt=GENERAL).describe(grey(3)[0])
    later = annotator(server, prompt=prompt)
    assert later.describe(grey(4)[0]) is prompt
    list(later.annotate(*pairs(2)))
    list(annotator(server).annotate(*pairs(2)))  # a specific prompt has nothing to describe
    assert [asked.describes for asked in server.asked] == [True] + [False] * 4


@pytest.mark.parametrize("served", [says("  "), says(None, refusal="No."), fails(500)], ids=["empty", "refused", "500"])
def test_without_a_description_nothing_is_compared(server, served):
    server.respond = lambda _: served
    replies, error = collect(annotator(server, prompt=GENERAL).annotate(*pairs(4)))
    assert server.calls == (3 if served.status == 500 else 1)
    assert replies == []
    assert "no description" in str(error)


# --- an early end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "drop", "raise"])
def test_an_early_end_sends_nothing_more(server, how):
    """At most ``concurrency`` questions were sent beyond those whose replies were taken, and nobody is left to send."""
    replies = annotator(server, concurrency=2).annotate(*pairs(150))
    taken = list(itertools.islice(replies, 3))
    if how == "close":
        replies.close()
    elif how == "raise":
        with pytest.raises(KeyboardInterrupt):
            replies.throw(KeyboardInterrupt)
    else:
        del replies
        gc.collect()
    wait_for_requests()
    assert len(taken) == 3
    assert 3 <= server.calls <= 3 + 2


def test_an_error_in_our_own_code_is_raised(monkeypatch, server):
    monkeypatch.setattr(ChatAnnotator, "_uri", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(annotator(server).annotate(*pairs(3)))
    assert server.calls == 0


def test_an_early_end_does_not_wait_for_what_is_under_way(server):
    never = threading.Event()

    def respond(asked):
        if asked.images[0].max() > 100:
            never.wait(30)
        return brighter(asked)

    server.respond = respond
    replies = annotator(server, concurrency=2, timeout=1000.0).annotate(*pairs(20))
    assert next(replies)[0] == 0
    replies.close()  # with a server that says nothing, this must still come back
    assert not never.is_set()
    never.set()


def test_an_iterator_that_is_never_begun_asks_nothing(server):
    annotator(server).annotate(*pairs(3))
    assert server.calls == 0


# --- the key, and other settings -------------------------------------------------------------------------------------


def test_the_key_is_sent_and_shown_nowhere(server, caplog):
    """The server repeats the key in all it says: answers, errors, refusals, and the page of a gateway."""
    caplog.set_level(logging.DEBUG)
    leaks = [
        says(f'{{"answer": "first", "key": "{KEY}"}}'),
        says(None, refusal=f"Not with {KEY}!"),
        fails(400, f"filtered {KEY}", "content_filter"),
        fails(500, f"crash with Bearer {KEY}"),
        Served(body=f"<html>{KEY}</html>"),
        fails(401, f"wrong: {KEY}"),
    ]
    server.respond = lambda asked: leaks[asked.number]
    asker = annotator(server, concurrency=1, retries=0)
    replies, error = collect(asker.annotate(*pairs(10)))
    assert server.calls == 6
    assert {asked.authorization for asked in server.asked} == {f"Bearer {KEY}"}
    assert [reply.answer for _, reply in replies] == [Answer.FIRST, Answer.UNKNOWN, Answer.UNKNOWN]
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    shown = [repr(replies), repr(error), str(error.args), told, repr(asker), asker.version, asker.endpoint]
    shown += [repr(vars(asker)), repr(vars(asker._client)), caplog.text]
    for text in shown:
        assert KEY not in text
        assert KEY[3:] not in text
    assert "[key]" in replies[0][1].raw
    assert "a question stays without an answer" in caplog.text
    assert error.__cause__ is None
    assert error.__context__ is None


def test_what_looks_like_a_key_is_hidden_and_words_are_not(monkeypatch):
    assert redact("Incorrect API key: sk-abcd****wxyz.") == "Incorrect API key: [key]."
    words = "The key-shaped thing is a key. The bearer of the key takes a risk-free walk."
    assert redact(words) == words
    monkeypatch.setenv(KEY_VARIABLE, "x")
    assert redact("next x") == "next [key]"


def test_a_local_server_needs_no_key(server, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE)
    assert len(list(annotator(server).annotate(*pairs(1)))) == 1
    assert server.asked[0].authorization == "Bearer no-key"
    with pytest.raises(ValueError, match=KEY_VARIABLE):
        ChatAnnotator("gpt-4-turbo")


@pytest.mark.parametrize("url", ["http://user:hunter2@localhost:8000/v1", "http://localhost/v1?token=hunter2"])
def test_an_address_that_holds_a_secret_is_refused(url):
    with pytest.raises(ValueError, match=KEY_VARIABLE) as refused:
        ChatAnnotator("m", url)
    assert "hunter" not in str(refused.value)


def test_the_version_covers_what_changes_answers():
    def version(model="m", url="http://localhost:8000/v1", **settings):
        return ChatAnnotator(model, url, **settings).version

    changed = [version(), version("n"), version(url="http://other:8000/v1"), version(temperature=0.3)]
    changed += [version(detail="high"), version(upscale=64), version(structured=False)]
    assert len(set(changed)) == len(changed)
    assert version() == version(concurrency=9, retries=0, url="http://localhost:9000/v1")
    assert ChatAnnotator.name == "chat"


@pytest.mark.parametrize(
    "settings",
    [
        {"model": ""},
        {"detail": "some"},
        {"temperature": -0.1},
        {"upscale": -1},
        {"max_answer_tokens": 0},
        {"concurrency": 0},
        {"requests_per_minute": 0.0},
        {"budget_calls": -1},
        {"budget_dollars": 1.0},
        {"timeout": 0.0},
        {"retries": -1},
        {"give_up_after": 0},
        {"base_url": "localhost:8000"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ChatAnnotator(**{"model": "m", "base_url": "http://localhost:8000/v1", **settings})


def test_prices_and_limits_are_checked():
    with pytest.raises(ValueError, match="per_million_output"):
        Price(1.0, -1.0)
    with pytest.raises(ValueError, match="timeout"):
        Limits(timeout=float("nan"))


def test_pictures_of_another_kind_are_refused(server):
    four = np.zeros((2, 8, 6, 4), np.uint8)
    with pytest.raises(ValueError, match="uint8"):
        annotator(server).annotate(four, four)
    assert server.calls == 0
