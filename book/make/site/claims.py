"""Check that what the book's pages conclude holds in the tables that are committed with them.

Every claim is a sentence and whether it is true of the tables, so that a new study or benchmark cannot leave a wrong
sentence on a page: ``make book`` stops and names it.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sensei_lite.presets import PRESETS
from sensei_lite.training.plan import PLANS

BOOK = Path(__file__).resolve().parents[2]

EVENTS_AT_THE_DESK = ("drawer_moved", "slide_moved", "button_pressed", "ball_moved", "block_moved")
LATE = " per 1000 steps in the second half"


class Claim(NamedTuple):
    """One conclusion of the book."""

    sentence: str
    holds: bool


Study = dict[tuple[str, str], dict[str, float]]
"""(agent, figure) -> its row: iqm, low, high (95% interval), seeds, seed_1 ..."""


def false_claims(book: Path = BOOK) -> list[str]:
    """Return the sentences of all claims that the tables in ``book/data`` contradict."""
    parts = (_keyroom, _answers, _keychest, _desk, _desk_in_numbers, _handler, _clip, _benchmarks, _run_times, _files)
    return [claim.sentence for part in parts for claim in part(book) if not claim.holds]


def _rows(book: Path, name: str) -> list[dict[str, str]]:
    with (book / "data" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _study(book: Path, name: str) -> Study:
    return {
        (row.pop("agent"), row.pop("measure")): {key: float(value) for key, value in row.items()}
        for row in _rows(book, f"study/{name}")
    }


def _seeds(row: dict[str, float]) -> list[float]:
    return [row[f"seed_{seed}"] for seed in range(1, 6)]


def _above(one: dict[str, float], other: dict[str, float], times: float = 1.0) -> bool:
    """Return whether the whole interval of one lies above (some times) the other's."""
    return one["low"] > times * other["high"]


def _overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return one["low"] < other["high"] and other["low"] < one["high"]


def _keyroom(book: Path) -> Iterator[Claim]:
    table = _study(book, "keyroom_lab")
    doors, exits = "door_opened per 1000 steps", "exit_reached per 1000 steps"
    tests, sooner = "exit_reached in test episodes", "steps to 80% success"
    yield Claim("every agent of KeyRoom has five seeds", {row["seeds"] for row in table.values()} == {5})
    yield Claim("the task agent learns the task", table["task", tests]["low"] >= 0.9)
    for figure in ("key_picked_up per 1000 steps", doors, "situations visited evenly"):
        yield Claim(f"curiosity beats chance: {figure}", _above(table["plan2explore", figure], table["random", figure]))
    yield Claim("curiosity opens three times as many", _above(table["plan2explore", doors], table["random", doors], 3))
    for figure in (doors, exits):
        ours, curious = table["sensei", figure], table["plan2explore", figure]
        yield Claim(f"SENSEI has 1.5 times as many: {figure}", ours["iqm"] >= 1.5 * curious["iqm"])
        yield Claim(f"SENSEI is above curiosity: {figure}", _above(ours, curious))
        for agent in ("vlm-motif", "sensei-no-switch", "sensei-paper"):
            yield Claim(f"the switch costs more than it brings: {agent}, {figure}", _above(table[agent, figure], ours))
        yield Claim(f"one round does as well as two: {figure}", _overlap(table["sensei:one-round", figure], ours))
    yield Claim("SENSEI reaches the exit when tested", table["sensei", tests]["low"] >= 0.9)
    yield Claim("curiosity does not", table["plan2explore", tests]["high"] < 0.5)
    whole_run, ours = table["random", sooner]["iqm"], table["sensei", sooner]
    yield Claim("the effect comes late", ours["iqm"] > 0.7 * whole_run and max(_seeds(ours)) > 0.99 * whole_run)
    rnd, chance = table["rnd", doors], table["random", doors]
    yield Claim("RND is below curiosity", _above(table["plan2explore", doors], rnd))
    yield Claim("RND opens doors as often as chance", rnd["low"] < chance["iqm"] < rnd["high"])
    after, curious, scratch = (table[f"task{name}", sooner] for name in ("-after-sensei", "-after-plan2explore", ""))
    yield Claim("curiosity prepares a task as well as taste", curious["high"] <= after["high"])
    yield Claim("a task is learned sooner after either", _above(scratch, curious) and _above(scratch, after))
    yield Claim("after SENSEI in half of the steps", after["iqm"] <= 0.5 * scratch["iqm"])


def _answers(book: Path) -> Iterator[Claim]:
    table = _study(book, "keyroom_lab")
    doors, within = "door_opened per 1000 steps", "R_psi's spread within a situation"
    clip, curious = table["sensei", doors], table["plan2explore", doors]
    for answers in ("scripted", "noisy", "few"):
        ours = table[f"sensei:{answers}", doors]
        yield Claim(f"CLIP's answers are worth as much: {answers}", _overlap(ours, clip))
        yield Claim(f"above curiosity: {answers}", answers == "noisy" or _above(ours, curious))
    for answers in ("llava", "llava-both-orders"):
        yield Claim(f"answers by position are worth less: {answers}", _above(clip, table[f"sensei:{answers}", doors]))
    yield Claim("with LLaVA as with curiosity alone", _overlap(table["sensei:llava", doors], curious))
    left = "sensei:llava-both-orders"
    yield Claim("few answers of LLaVA decide", table[left, "ties among the judgements"]["low"] > 0.9)
    yield Claim("and they teach the order", table[left, "R_psi orders situations"]["low"] > 0.98)
    yield Claim("and little more", table[left, within]["low"] > 0.2)
    for answers in ("sensei", "sensei:one-round", "sensei:scripted", "sensei:noisy", "sensei:few"):
        yield Claim(f"half as noisy: {answers}", 2 * table[answers, within]["high"] < table[left, within]["iqm"])
    lover = {figure: row for (agent, figure), row in table.items() if agent == "sensei:door-lover"}
    opened = lover["door_opened in test episodes"]
    yield Claim("a taste for locked doors opens fewer", _above(table["sensei", doors], lover[doors]))
    yield Claim("it always stands there", lover["door_reached_with_key in test episodes"]["low"] == 1)
    yield Claim("it opens one door in seven", opened["low"] > 0.1 and opened["high"] < 0.2)
    yield Claim("not because it is noisy", _above(table["sensei", within], lover[within]))


def _keychest(book: Path) -> Iterator[Claim]:
    table, figure = _study(book, "keychest_lab"), "chest_opened per 1000 steps"
    tests = "chest_opened in test episodes"
    chance, curious, ours = (table[agent, figure] for agent in ("random", "plan2explore", "sensei-range"))
    yield Claim("every agent of KeyChest has five seeds", {row["seeds"] for row in table.values()} == {5})
    yield Claim("curiosity opens twice as many chests as chance", _above(curious, chance, 2))
    yield Claim("SENSEI five times as many as curiosity", _above(ours, curious, 5))
    yield Claim("curiosity seldom when tested", table["plan2explore", tests]["high"] < 0.1)
    yield Claim("SENSEI always sees the chest", table["sensei-range", "chest_seen in test episodes"]["low"] == 1)
    yield Claim("it ends exploring", table["sensei-range", "share of dreams explored at the end"]["low"] > 0.99)
    yield Claim("two of its seeds leave the chest", sum(s < 0.5 for s in _seeds(table["sensei-range", tests])) == 2)
    opened = _seeds(table["vlm-motif", figure])
    yield Claim("taste alone stays before the chest in four seeds", sum(often < chance["low"] for often in opened) == 4)
    yield Claim("and opens it all the time in one", max(opened) > 10 * curious["high"])
    yield Claim("it holds the key", table["vlm-motif", "key_picked_up in test episodes"]["low"] > 0.9)
    for other in ("random", "plan2explore", "sensei-range"):
        seen, theirs = (table[agent, "situations per chunk"] for agent in ("vlm-motif", other))
        yield Claim(f"it sees less than {other}", _above(theirs, seen))


def _desk(book: Path) -> Iterator[Claim]:
    table = _study(book, "tabletop_lab")
    yield Claim("every agent at the desk has five seeds", {row["seeds"] for row in table.values()} == {5})
    for event in EVENTS_AT_THE_DESK:
        ours, curious = table["sensei", event + LATE], table["plan2explore", event + LATE]
        yield Claim(f"at the desk taste is not apart from curiosity: {event}", _overlap(ours, curious))
    balls, slides = (
        [table[a, e + LATE] for a in ("plan2explore", "random", "sensei")] for e in ("ball_moved", "slide_moved")
    )
    yield Claim("curiosity moves the ball more than chance", _above(balls[0], balls[1]))
    yield Claim("SENSEI moves the slide less than chance", _above(slides[1], slides[2]))
    yield Claim("R_psi is right at the desk", table["sensei", "R_psi orders situations"]["low"] > 0.99)
    moved = [sum(table["sensei", e + LATE][f"seed_{seed}"] for e in EVENTS_AT_THE_DESK) for seed in range(1, 6)]
    yield Claim("one seed farms it and moves nothing", sum(often < 0.1 for often in moved) == 1)
    seen = [number for (_, figure), row in table.items() if figure == "situations per chunk" for number in _seeds(row)]
    still = _seeds(table["sensei", "situations per chunk"])[moved.index(min(moved))]
    yield Claim("that one sees less than any other run", min(seen) == still)
    tested = _seeds(table["sensei", "ball_moved in test episodes"])
    yield Claim("the others move the ball when tested", sum(share > 0.9 for share in tested) == 4)


def _desk_in_numbers(book: Path) -> Iterator[Claim]:
    images, numbers = _study(book, "tabletop_lab"), _study(book, "tabletop_numbers")
    rate, tests = "_moved per 1000 steps", "_moved in test episodes"
    yield Claim("every agent of numbers has five seeds", {row["seeds"] for row in numbers.values()} == {5})
    block = {agent: numbers[agent, "block" + rate] for agent in ("plan2explore", "sensei", "random")}
    for agent, things in (("plan2explore", ("drawer", "ball", "block")), ("sensei", ("ball", "block"))):
        for thing in things:
            ours, chance = numbers[agent, thing + rate], numbers["random", thing + rate]
            yield Claim(f"with numbers {agent} moves the {thing} more than chance", _above(ours, chance))
        yield Claim(f"{agent} doubles its blocks", _above(block[agent], images[agent, "block" + rate], 2))
        yield Claim(f"and has twice chance's: {agent}", _above(block[agent], block["random"], 2))
    for thing in ("drawer", "ball", "block"):
        ours, theirs = numbers["plan2explore", thing + rate], images["plan2explore", thing + rate]
        yield Claim(f"numbers help curiosity with the {thing}", _above(ours, theirs))
    for event in EVENTS_AT_THE_DESK:
        ours, curious = (numbers[agent, f"{event} per 1000 steps"] for agent in ("sensei", "plan2explore"))
        yield Claim(f"with numbers the two are a draw: {event}", _overlap(ours, curious))
    for thing in ("drawer", "slide"):
        ours, curious = (numbers[agent, thing + rate]["iqm"] for agent in ("sensei", "plan2explore"))
        yield Claim(f"SENSEI cares less for the {thing}", ours < curious)
    for thing in ("ball", "block"):
        yield Claim(f"SENSEI always moves the {thing}", min(_seeds(numbers["sensei", thing + tests])) > 0.95)
    ours, curious = (numbers[agent, "situations visited evenly"] for agent in ("sensei", "plan2explore"))
    yield Claim("curiosity visits more", _above(curious, ours))
    ours, curious = (numbers[agent, "ball" + tests] for agent in ("sensei", "plan2explore"))
    yield Claim("SENSEI moves the ball more often when tested", _above(ours, curious))
    yield Claim("curiosity's seeds differ", min(_seeds(curious)) < 0.05 and max(_seeds(curious)) > 0.9)


def _handler(book: Path) -> Iterator[Claim]:
    table, rate, tests = _study(book, "tabletop_handler"), " per 1000 steps", " in test episodes"
    name, evenly = "sensei:handler", "situations visited evenly"
    yield Claim("every agent of the handler has five seeds", {row["seeds"] for row in table.values()} == {5})
    ours, curious = table[name, "block_moved" + rate], table["plan2explore", "block_moved" + rate]
    moved, slides = _seeds(ours), _seeds(table[name, "slide_moved" + rate])
    doubled = sum(often > 2 * max(_seeds(curious)) for often in moved)
    yield Claim("three seeds have twice curiosity's best", doubled == 3)
    yield Claim("they have over 400", sum(often > 400 for often in _seeds(table[name, "block_moved" + LATE])) == 3)
    yield Claim("in the middle it is above", ours["iqm"] > curious["high"])
    yield Claim("the intervals overlap", ours["low"] < curious["high"])
    yield Claim("the weakest took to the slide", moved.index(min(moved)) == slides.index(max(slides)))
    yield Claim("all move the block when tested", min(_seeds(table[name, "block_moved" + tests])) == 1.0)
    lifted = [_seeds(table[agent, "block_lifted" + tests]) for agent in (name, "plan2explore")]
    yield Claim("three lift it", sum(share > 0.5 for share in lifted[0]) == 3)
    yield Claim("curiosity does not lift it", max(lifted[1]) <= 0.1)
    others = [_study(book, other) for other in ("tabletop_lab", "tabletop_numbers")]
    shares = [s for one in others for (_, f), row in one.items() if f == "block_lifted" + tests for s in _seeds(row)]
    yield Claim("and no other agent does", max(shares) < 0.5)
    for thing in ("drawer", "slide"):
        still = sum(often == 0.0 for often in _seeds(table[name, f"{thing}_moved" + LATE]))
        yield Claim(f"four leave the {thing}, which is not paid for", still == 4)
    yield Claim("it visits less evenly than chance", table[name, evenly]["iqm"] < table["random", evenly]["iqm"])
    yield Claim("and than curiosity", _above(table["plan2explore", evenly], table[name, evenly]))


def _clip(book: Path) -> Iterator[Claim]:
    rows = _rows(book, "clip/agreement")
    yield Claim(
        "the small CLIP was tried on the unseen", {r["never_seen"] for r in rows} == {"layouts", "layouts and size"}
    )
    for row in rows:
        agrees = float(row["agreement"]) > 0.95 and float(row["kappa_low"]) > 0.9
        yield Claim(f"the small CLIP agrees with the truth: {row}", agrees)
    for name, first, levels in (("clip/scores", 3, 5), ("clip_desk/scores", 2, 8)):
        rows = _rows(book, name)
        for row in rows if name == "clip/scores" else rows[:1]:
            scores = [float(score) for score in list(row.values())[first:] if score]
            yield Claim(
                f"{name}: scores rise from level to level: {row}", scores == sorted(scores) and len(scores) >= levels
            )
    desk = {row["pictures_of"]: float(row["agreement"]) for row in _rows(book, "clip_desk/agreement")}
    yield Claim("the desk's CLIP agrees on balanced images", desk["balanced"] > 0.95)
    yield Claim("and on play", min(desk["guided play"], desk["random play"]) > 0.93)


def _benchmarks(book: Path) -> Iterator[Claim]:
    def trained_on(name: str) -> int:
        train = PRESETS[name]().train
        return PLANS[name].updates * train.batch * train.length

    times = trained_on("paper-robodesk") / trained_on("lab-tabletop")
    yield Claim("the research code learns from 250 times as many rows as the lab at the desk", times == 250)
    rows = _rows(book, "bench/paper")
    one, many = (float(row["ms_median"]) for row in rows if "side by side" in row["what"])
    yield Claim("32 seeds side by side take two to three times as long as one", 2 < 32 * many / one < 3)
    paper = [row for row in rows if row["what"].startswith("paper sensei")]
    yield Claim("both precisions were measured", {row["precision"] for row in paper} == {"float32", "bfloat16"})
    yield Claim("the paper's budget takes an hour", all(float(r["hours_for_250000_steps"]) < 1 for r in paper))
    distil = {int(row["training_pairs"]): row for row in _rows(book, "bench/distil")}
    ceiling = float(distil[1_000]["noise_ceiling"]) - 0.03
    few, many = (float(distil[pairs]["held_out_accuracy"]) for pairs in (100, 1_000))
    yield Claim("a thousand pairs nearly reach the ceiling, a hundred do not", few < ceiling < many)


def _run_times(book: Path) -> Iterator[Claim]:
    """Each notebook says at its top how long it takes: what was measured, and within what a course can wait for."""
    words = ("one minute", *(f"{number} minutes" for number in ("two", "three", "four", "five", "six")))
    measured = {row["notebook"]: row for row in _rows(book, "run/notebooks")}
    sources = sorted((book.parent / "notebooks").glob("*.py"))
    yield Claim("every notebook was measured", [source.stem for source in sources] == sorted(measured))
    for source in sources:
        row = measured[source.stem]
        stated = re.findall(r"\*\*The machine's time:\*\* about ([a-z]+ minutes?)", source.read_text(encoding="utf-8"))
        close = len(stated) == 1 and abs(words.index(stated[0]) + 1 - float(row["minutes"])) <= 1
        yield Claim(f"{source.stem} takes {stated} ({row['minutes']} measured)", close)
        fits = row["preset"] == "default" and float(row["minutes"]) <= 6 and float(row["peak_memory_mb"]) < 4096
        yield Claim(f"{source.stem} at full length fits a course's time and memory", fits)


def _files(book: Path) -> Iterator[Claim]:
    for page in sorted(book.glob("*.md")):
        for name in re.findall(r"^:file: (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            yield Claim(f"{page.name}: {name} is there", (book / name).exists())
