"""What the book's pages conclude holds in the tables that are committed with them."""

import csv
import re
from pathlib import Path

from sensei_lite.presets import PRESETS
from sensei_lite.training.plan import PLANS

BOOK = Path(__file__).parents[2] / "book"


def study(name: str) -> dict[tuple[str, str], dict[str, float]]:
    with (BOOK / "data" / "study" / f"{name}.csv").open() as file:
        return {
            (row.pop("agent"), row.pop("figure")): {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        }


def test_the_task_agent_learns_and_curiosity_beats_chance():
    table = study("keyroom_lab")
    assert {row["seeds"] for row in table.values()} == {5}
    assert table["task", "exit_reached in test episodes"]["low"] >= 0.9
    for figure in ("key_picked_up per 1000 steps", "door_opened per 1000 steps", "situations visited evenly"):
        assert table["plan2explore", figure]["low"] > table["random", figure]["high"], figure
    assert (
        table["plan2explore", "door_opened per 1000 steps"]["low"]
        > 3 * table["random", "door_opened per 1000 steps"]["high"]
    )


def test_taste_causes_more_that_means_something_than_curiosity_alone():
    table = study("keyroom_lab")
    for event in ("door_opened", "exit_reached"):
        ours, theirs = (table[agent, f"{event} per 1000 steps"] for agent in ("sensei", "plan2explore"))
        assert ours["iqm"] >= 1.5 * theirs["iqm"], event
        assert ours["low"] > theirs["high"], f"{event}: the intervals do not overlap"
    assert table["sensei", "exit_reached in test episodes"]["low"] >= 0.9
    assert table["plan2explore", "exit_reached in test episodes"]["high"] < 0.5


def test_the_effect_comes_late():
    figure, table = "steps to 80% success", study("keyroom_lab")
    whole_run = table["random", figure]["iqm"]
    assert table["sensei", figure]["iqm"] > 0.7 * whole_run
    assert max(table["sensei", figure][f"seed_{seed}"] for seed in range(1, 6)) > 0.99 * whole_run


def test_in_so_small_a_room_the_research_codes_switch_costs_more_than_it_brings():
    table = study("keyroom_lab")
    for event in ("door_opened", "exit_reached"):
        figure = f"{event} per 1000 steps"
        for agent in ("vlm-motif", "sensei-no-switch", "sensei-paper"):
            assert table[agent, figure]["low"] > table["sensei", figure]["high"], (agent, event)


def test_one_round_of_questions_did_as_well_as_two():
    table = study("keyroom_lab")
    for event in ("door_opened", "exit_reached"):
        one, two = (table[agent, f"{event} per 1000 steps"] for agent in ("sensei:one-round", "sensei"))
        assert one["low"] < two["high"], event
        assert two["low"] < one["high"], event


def test_answers_by_position_are_worth_less_than_few_or_noisy_ones():
    figure, table = "door_opened per 1000 steps", study("keyroom_lab")
    clip, curious = table["sensei", figure], table["plan2explore", figure]
    for answers in ("scripted", "noisy", "few"):
        ours = table[f"sensei:{answers}", figure]
        assert ours["low"] < clip["high"], answers
        assert clip["low"] < ours["high"], answers
        assert ours["low"] > curious["high"] or answers == "noisy", answers
    for answers in ("llava", "llava-both-orders"):
        assert table[f"sensei:{answers}", figure]["high"] < clip["low"], answers
    assert table["sensei:llava", figure]["low"] < curious["high"]
    assert table["sensei:llava", figure]["high"] > curious["low"]


def test_few_answers_that_are_right_teach_the_order_and_little_more():
    table = study("keyroom_lab")
    left = "sensei:llava-both-orders"
    assert table[left, "ties among the judgements"]["low"] > 0.9
    assert table[left, "R_psi orders situations"]["low"] > 0.98
    spread = "R_psi's spread within a situation"
    assert table[left, spread]["low"] > 0.2
    for answers in ("sensei", "sensei:one-round", "sensei:scripted", "sensei:noisy", "sensei:few"):
        assert 2 * table[answers, spread]["high"] < table[left, spread]["iqm"], answers


def test_a_taste_for_locked_doors_is_farmed():
    table = study("keyroom_lab")
    lover, figure = "sensei:door-lover", "door_opened per 1000 steps"
    assert table[lover, figure]["high"] < table["sensei", figure]["low"]
    assert table[lover, "door_reached_with_key in test episodes"]["low"] == 1
    assert table[lover, "door_opened in test episodes"]["low"] > 0.1
    assert table[lover, "door_opened in test episodes"]["high"] < 0.2
    assert (
        table[lover, "R_psi's spread within a situation"]["high"]
        < table["sensei", "R_psi's spread within a situation"]["low"]
    )


def test_where_chance_does_not_help_sensei_does_what_curiosity_does_not():
    figure, table = "chest_opened per 1000 steps", study("keychest_lab")
    assert {row["seeds"] for row in table.values()} == {5}
    chance, curious, ours = (table[agent, figure] for agent in ("random", "plan2explore", "sensei-range"))
    assert curious["low"] > 2 * chance["high"]
    assert ours["low"] > 5 * curious["high"]
    assert table["plan2explore", "chest_opened in test episodes"]["high"] < 0.1
    assert table["sensei-range", "chest_seen in test episodes"]["low"] == 1
    assert table["sensei-range", "share of dreams explored at the end"]["low"] > 0.99
    ends = [table["sensei-range", "chest_opened in test episodes"][f"seed_{seed}"] for seed in range(1, 6)]
    assert sum(share < 0.5 for share in ends) == 2


def test_taste_alone_stays_at_the_first_interesting_state():
    table = study("keychest_lab")
    opened = [table["vlm-motif", "chest_opened per 1000 steps"][f"seed_{seed}"] for seed in range(1, 6)]
    assert sum(often < table["random", "chest_opened per 1000 steps"]["low"] for often in opened) == 4
    assert max(opened) > 10 * table["plan2explore", "chest_opened per 1000 steps"]["high"]
    assert table["vlm-motif", "key_picked_up in test episodes"]["low"] > 0.9
    for other in ("random", "plan2explore", "sensei-range"):
        assert table["vlm-motif", "situations per chunk"]["high"] < table[other, "situations per chunk"]["low"]


def test_random_network_distillation_does_not_find_the_door():
    figure, table = "door_opened per 1000 steps", study("keyroom_lab")
    rnd = table["rnd", figure]
    assert rnd["high"] < table["plan2explore", figure]["low"]
    assert rnd["low"] < table["random", figure]["iqm"] < rnd["high"]


def test_downstream_curiosity_alone_prepares_as_well_as_taste():
    figure, table = "steps to 80% success", study("keyroom_lab")
    assert table["task-after-plan2explore", figure]["high"] <= table["task-after-sensei", figure]["high"]
    assert table["task-after-plan2explore", figure]["high"] < table["task", figure]["low"]


def test_a_world_model_that_was_explored_with_taste_makes_the_task_easy():
    figure, table = "steps to 80% success", study("keyroom_lab")
    after, scratch = table["task-after-sensei", figure], table["task", figure]
    assert after["iqm"] <= 0.5 * scratch["iqm"]
    assert after["high"] < scratch["low"]


def test_the_small_clip_agrees_with_the_truth_on_what_it_never_saw():
    with (BOOK / "data" / "clip" / "agreement.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["never_seen"] for row in rows} == {"layouts", "layouts and size"}
    assert all(float(row["agreement"]) > 0.95 and float(row["kappa_low"]) > 0.9 for row in rows)
    with (BOOK / "data" / "clip" / "scores.csv").open() as file:
        for world, _, _, *levels in list(csv.reader(file))[1:]:
            told = [float(level) for level in levels if level]
            assert told == sorted(told), f"{world}: the scores rise from level to level"


def test_the_desk_clip_agrees_with_the_truth_on_what_it_never_saw():
    with (BOOK / "data" / "clip_desk" / "agreement.csv").open() as file:
        rows = {row["pictures_of"]: row for row in csv.DictReader(file)}
    assert float(rows["balanced"]["agreement"]) > 0.95
    assert all(float(rows[play]["agreement"]) > 0.93 for play in ("guided play", "random play"))
    with (BOOK / "data" / "clip_desk" / "scores.csv").open() as file:
        balanced = next(iter(csv.DictReader(file)))
    told = [float(score) for score in list(balanced.values())[2:] if score]
    assert told == sorted(told), "the scores rise from level to level"
    assert len(told) >= 8


def test_at_the_desk_taste_is_not_apart_from_curiosity():
    table, late = study("tabletop_lab"), " per 1000 steps in the second half"
    things = ("drawer_moved", "slide_moved", "button_pressed", "ball_moved", "block_moved")
    assert {row["seeds"] for row in table.values()} == {5}
    for event in things:
        ours, theirs = table["sensei", event + late], table["plan2explore", event + late]
        assert ours["low"] < theirs["high"], event
        assert theirs["low"] < ours["high"], event
    assert table["plan2explore", "ball_moved" + late]["low"] > table["random", "ball_moved" + late]["high"]
    assert table["sensei", "slide_moved" + late]["high"] < table["random", "slide_moved" + late]["low"]
    # The taste is right, and one seed farms it: it moves nothing and sees next to nothing.
    assert table["sensei", "R_psi orders situations"]["low"] > 0.99
    still = [seed for seed in range(1, 6) if sum(table["sensei", e + late][f"seed_{seed}"] for e in things) < 0.1]
    assert len(still) == 1
    seen = [
        row[f"seed_{s}"] for (_, figure), row in table.items() if figure == "situations per chunk" for s in range(1, 6)
    ]
    assert min(seen) == table["sensei", "situations per chunk"][f"seed_{still[0]}"]
    moved = [table["sensei", "ball_moved in test episodes"][f"seed_{seed}"] for seed in range(1, 6)]
    assert sum(share > 0.9 for share in moved) == 4


def test_told_in_numbers_both_agents_handle_the_desk_and_are_a_draw():
    seen, told = study("tabletop_lab"), study("tabletop_numbers")
    rate, episodes = "_moved per 1000 steps", "_moved in test episodes"
    assert {row["seeds"] for row in told.values()} == {5}
    for agent, things in (("plan2explore", ("drawer", "ball", "block")), ("sensei", ("ball", "block"))):
        for thing in things:
            assert told[agent, thing + rate]["low"] > told["random", thing + rate]["high"], (agent, thing)
        assert told[agent, "block" + rate]["low"] > 2 * seen[agent, "block" + rate]["high"]
        assert told[agent, "block" + rate]["low"] > 2 * told["random", "block" + rate]["high"]
    for thing in ("drawer", "ball", "block"):
        assert told["plan2explore", thing + rate]["low"] > seen["plan2explore", thing + rate]["high"], thing
    for event in ("drawer_moved", "slide_moved", "button_pressed", "ball_moved", "block_moved"):
        ours, theirs = (told[agent, f"{event} per 1000 steps"] for agent in ("sensei", "plan2explore"))
        assert ours["low"] < theirs["high"], event
        assert theirs["low"] < ours["high"], event
    for thing in ("drawer", "slide"):
        assert told["sensei", thing + rate]["iqm"] < told["plan2explore", thing + rate]["iqm"]
    for thing in ("ball", "block"):
        assert min(told["sensei", thing + episodes][f"seed_{seed}"] for seed in range(1, 6)) > 0.95
    evenly = "situations visited evenly"
    assert told["plan2explore", evenly]["low"] > told["sensei", evenly]["high"]
    curious = [told["plan2explore", "ball" + episodes][f"seed_{seed}"] for seed in range(1, 6)]
    assert told["sensei", "ball" + episodes]["low"] > told["plan2explore", "ball" + episodes]["high"]
    assert min(curious) < 0.05 < 0.9 < max(curious)


def test_where_a_taste_for_acts_points_interactions_multiply_and_what_it_does_not_pay_for_is_left():
    table, rate, late = study("tabletop_handler"), " per 1000 steps", " per 1000 steps in the second half"
    assert {row["seeds"] for row in table.values()} == {5}

    def seeds(agent, figure):
        return [table[agent, figure][f"seed_{seed}"] for seed in range(1, 6)]

    moved, of_curious = seeds("sensei:handler", "block_moved" + rate), seeds("plan2explore", "block_moved" + rate)
    assert sum(number > 2 * max(of_curious) for number in moved) == 3
    assert sum(number > 400 for number in seeds("sensei:handler", "block_moved" + late)) == 3
    ours, theirs = table["sensei:handler", "block_moved" + rate], table["plan2explore", "block_moved" + rate]
    assert ours["iqm"] > theirs["high"]
    assert ours["low"] < theirs["high"], "the intervals overlap"
    assert moved.index(min(moved)) == seeds("sensei:handler", "slide_moved" + rate).index(
        max(seeds("sensei:handler", "slide_moved" + rate))
    )
    assert min(seeds("sensei:handler", "block_moved in test episodes")) == 1.0
    assert sum(share > 0.5 for share in seeds("sensei:handler", "block_lifted in test episodes")) == 3
    assert max(seeds("plan2explore", "block_lifted in test episodes")) <= 0.1
    for name in ("tabletop_lab", "tabletop_numbers"):
        others = [row for (agent, figure), row in study(name).items() if figure == "block_lifted in test episodes"]
        assert all(row[f"seed_{seed}"] < 0.5 for row in others for seed in range(1, 6))
    for thing in ("drawer", "slide"):
        assert sum(number == 0.0 for number in seeds("sensei:handler", f"{thing}_moved" + late)) == 4
    evenly = "situations visited evenly"
    assert table["sensei:handler", evenly]["iqm"] < table["random", evenly]["iqm"]
    assert table["plan2explore", evenly]["low"] > table["sensei:handler", evenly]["high"]


def test_the_research_code_learns_from_250_times_as_many_rows_as_the_lab_at_the_desk():
    def rows(name):
        train = PRESETS[name]().train
        return PLANS[name].updates * train.batch * train.length

    assert rows("paper-robodesk") == 250 * rows("lab-tabletop")


def test_on_a_gpu_the_papers_budget_takes_about_an_hour():
    with (BOOK / "data" / "bench" / "paper.csv").open() as file:
        rows = list(csv.DictReader(file))
    paper = [row for row in rows if row["what"].startswith("paper sensei")]
    one, many = (float(row["ms_median"]) for row in rows if "side by side" in row["what"])
    assert 2 < 32 * many / one < 3
    assert {row["precision"] for row in paper} == {"float32", "bfloat16"}
    assert all(float(row["hours_for_250000_steps"]) < 1.0 for row in paper)


def test_a_thousand_pairs_nearly_reach_the_ceiling():
    with (BOOK / "data" / "bench" / "distil.csv").open() as file:
        rows = {int(row["training_pairs"]): row for row in csv.DictReader(file)}
    ceiling = float(rows[1_000]["noise_ceiling"])
    assert float(rows[1_000]["held_out_accuracy"]) > ceiling - 0.03
    assert float(rows[100]["held_out_accuracy"]) < ceiling - 0.03


def test_each_notebook_says_how_long_it_takes():
    """The minutes at its top are those that `make nightly` measured, and within what a course can wait for."""
    words = ("one minute", *(f"{number} minutes" for number in ("two", "three", "four", "five", "six")))
    with (BOOK / "data" / "run" / "notebooks.csv").open() as file:
        measured = {row["notebook"]: row for row in csv.DictReader(file)}
    sources = sorted((BOOK.parent / "notebooks").glob("*.py"))
    assert [source.stem for source in sources] == sorted(measured)
    for source in sources:
        row = measured[source.stem]
        (told,) = re.findall(r"\*\*The machine's time:\*\* about ([a-z]+ minutes?)", source.read_text())
        assert abs(words.index(told) + 1 - float(row["minutes"])) <= 1, f"{source.stem}: {row['minutes']} minutes"
        assert row["preset"] == "default"
        assert float(row["minutes"]) <= 6
        assert float(row["peak_memory_mb"]) < 4096


def test_every_table_of_a_page_is_there():
    for page in BOOK.glob("*.md"):
        for line in page.read_text().splitlines():
            if line.startswith(":file: "):
                assert (BOOK / line.removeprefix(":file: ")).exists(), f"{page.name}: {line}"
