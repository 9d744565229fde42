"""What there is to decide: a plan for every command, and for a whole run a plan for every preset.

The command line's arguments are the fields of these dataclasses, with their defaults and their docstrings.
"""

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import tyro

from sensei_lite.annotators.registry import NAMES
from sensei_lite.config import DistilConfig
from sensei_lite.presets import AGENTS, PRESETS


def read_words(words: Sequence[str]) -> dict[str, Any]:
    """Read ``size=5 view=None`` as settings. What is no Python value is a word, but true, false and none are values.

    Raises SystemExit, with one line, where a word has no "=".
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise SystemExit(f"sensei-lite: a setting is written name=value, and {word!r} has no '='")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = {"true": True, "false": False, "none": None}.get(value, value)
    return found


Words = Annotated[
    Mapping[str, Any],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE",
        instance_from_str=read_words,
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda value: [f"{name}={one}" for name, one in value.items()],
    ),
]
"""Settings by name: a mapping here, words such as ``size=5`` on the command line."""


def _check(part: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"there is no {part} called {value!r}; there are {', '.join(known)}")


def _check_least(plan: Any, *names: str) -> None:
    for name in names:
        if getattr(plan, name) < 1:
            raise ValueError(f"{name} is {getattr(plan, name)}; it must be at least 1")


@dataclasses.dataclass(frozen=True)
class CollectPlan:
    """Pictures to ask about. Raises ValueError where a number makes no sense."""

    world: str = "keyroom"
    """A name as in `worlds.world_names`; only a curious agent can play host worlds."""
    settings: Words = dataclasses.field(default_factory=dict)
    """Of the world, such as size=5 rooms=1."""
    play: Literal["curious", "guided", "random"] = "guided"
    """curious: a Plan2Explore agent that learns meanwhile (the paper's D_init). random: at random. guided: each episode
    knows the way to some degree, so that all situations are seen within seconds."""
    episodes: int = 100
    """How many are played to their ends (random and guided)."""
    preset: str = "lab"
    """Sizes and ratios of the curious agent."""
    updates: int = 4_000
    """How often the curious agent learns."""
    pictures: int = 10_000
    """How many of those that the curious agent remembers are kept."""
    seed: int = 0
    """Chooses episodes and actions."""

    def __post_init__(self) -> None:
        _check("preset", self.preset, list(PRESETS))
        _check_least(self, "episodes", "updates", "pictures")


@dataclasses.dataclass(frozen=True)
class AnnotatePlan:
    """Which of two pictures is more interesting. Raises ValueError where there is no such annotator."""

    annotator: str = "clip"
    """clip (a local model), chat (a vision-language model behind OpenAI's protocol, key in OPENAI_API_KEY), human (you,
    in a notebook that JupyterLab opens), scripted (the truth, with faults as you set them)."""
    settings: Words = dataclasses.field(default_factory=dict)
    """Of the annotator, such as model=gpt-4o base_url=http://localhost:8000/v1 prompt=general price=(2.5,10), or
    noise_model=llava noise=0.1, or for clip model=ViT-B-32/laion2b_s34b_b79k."""
    pairs: int = 5_000
    """How many pairs of pictures."""
    choose: Literal["random", "spread", "interesting"] = "random"
    """Pairs at random, as the paper does; spread over episodes and time, for small budgets; or of what the folder's
    R_psi finds interesting, for a second round after distil."""
    both_orders: bool | None = None
    """Ask about every pair twice, with the pictures exchanged, and call contradictions ties. If it is not said,
    everyone but a human is asked so."""
    budget_calls: int | None = None
    """Stop after so many questions."""
    budget_dollars: float | None = None
    """Stop when so much is spent."""
    seed: int = 0
    """Chooses pairs."""

    def __post_init__(self) -> None:
        _check("annotator", self.annotator, NAMES)
        _check_least(self, "pairs")


@dataclasses.dataclass(frozen=True)
class DistilPlan:
    """Whose answers teach R_psi, and how."""

    annotator: str | None = None
    """Whose answers, where there are those of several."""
    version: str | None = None
    """Of that annotator, where there are several (as the report of annotate names it)."""
    config: DistilConfig = dataclasses.field(default_factory=DistilConfig)
    """How it is taught."""
    seed: int = 0
    """Chooses held-out episodes and the first weights."""


@dataclasses.dataclass(frozen=True)
class ExplorePlan:
    """Who explores. Raises ValueError where there is no such agent or preset."""

    agent: str = "sensei"
    """A name of `presets.AGENTS`; it goes to a folder of its own inside the run folder."""
    preset: str = "lab"
    """Sizes and ratios (see `presets`)."""
    updates: int = 4_000
    """How often the agent learns."""
    seed: int = 0
    """Chooses weights and chance."""
    changes: Words = dataclasses.field(default_factory=dict)
    """To single settings of `config`, such as switch.percentile=75 behaviour.entropy=1e-3."""
    name: str | None = None
    """Of the folder inside, which an agent with changed settings needs."""

    def __post_init__(self) -> None:
        _check("agent", self.agent, list(AGENTS))
        _check("preset", self.preset, list(PRESETS))
        _check_least(self, "updates")


@dataclasses.dataclass(frozen=True)
class TrainPlan:
    """An agent that needs no R_psi, alone in a folder."""

    agent: Literal["rnd", "plan2explore", "task"] = "plan2explore"
    """plan2explore and rnd are curious and want to know the world; task wants the world's reward."""
    world: str = "keyroom"
    """A name as in `worlds.world_names`, or gymnasium: and any Gymnasium id."""
    settings: Words = dataclasses.field(default_factory=dict)
    """Of the world, such as size=5 rooms=1."""
    preset: str = "lab"
    """Sizes and ratios (see `presets`)."""
    updates: int = 4_000
    """How often the agent learns in all."""
    seed: int = 0
    """Chooses weights, layouts and chance."""

    def __post_init__(self) -> None:
        _check("preset", self.preset, list(PRESETS))
        _check_least(self, "updates")


@dataclasses.dataclass(frozen=True)
class TaskPlan:
    """A task that is learned with an explorer's world model and replay."""

    after: str = "sensei"
    """Whose world model and replay: the name of an explorer's folder."""
    preset: str = "lab"
    """Sizes and ratios, the explorer's own."""
    updates: int = 2_500
    """How often the task agent learns."""
    seed: int = 0
    """Chooses weights and chance."""

    def __post_init__(self) -> None:
        _check("preset", self.preset, list(PRESETS))
        _check_least(self, "updates")


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """Agents that are compared over seeds. Raises ValueError where there is only one seed."""

    agents: tuple[str, ...] = ("random", "plan2explore", "vlm-motif", "sensei")
    """Names of `presets.AGENTS`; with another annotator than the bundled CLIP as in sensei:llava (see
    `study.ANNOTATIONS`); a task agent that goes on where an explorer stopped as in task-after-sensei."""
    world: str = "keyroom"
    """A name as in `worlds.world_names`."""
    settings: Words = dataclasses.field(default_factory=dict)
    """Of the world, such as size=5."""
    preset: str = "lab"
    """Sizes and ratios."""
    updates: int = 4_000
    """How often each agent learns."""
    task_updates: int = 0
    """How often each task agent learns; 0: as often as the others."""
    seeds: int = 5
    """How many seeds; 2 at least."""
    first_seed: int = 1
    """The first of them. Settings were chosen by looking at seed 0, so studies begin at 1."""
    jobs: int = 1
    """How many processes share this machine's cores; runs do not depend on each other."""
    side_by_side: bool = False
    """Train all seeds of an explorer in one program: fast on a GPU. Checkpoints come at the end only."""

    def __post_init__(self) -> None:
        _check("preset", self.preset, list(PRESETS))
        _check_least(self, "updates", "jobs")
        if self.seeds < 2:
            raise ValueError(
                f"there are {self.seeds} seeds; a study needs at least 2 to say anything about their spread"
            )


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run is. Raises ValueError where a number makes no sense."""

    world: str = "keyroom"
    """A name as in `worlds.world_names`, or gymnasium:<id>."""
    settings: Words = dataclasses.field(default_factory=dict)
    """Changes to the world."""
    preset: str = "lab"
    """Sizes and ratios of the agent (see `config`)."""
    seed: int = 0
    """Chooses everything that is chosen by chance."""
    pictures: int = 12_000
    """How many pictures of what the Plan2Explore agent saw are kept to ask about."""
    annotator: str = "clip"
    """Who is asked (see `annotators.registry`)."""
    annotator_settings: Words = dataclasses.field(default_factory=dict)
    """Settings of the annotator."""
    pairs: int = 5_000
    """How many pairs are asked about, each in both orders. Paper: 100,000."""
    rounds: int = 2
    """1: all pairs are drawn at random. 2: half of them are, and the others by the R_psi that these have taught, of
    pictures that it finds interesting (`pairs.interesting_pairs`). Paper: 1."""
    both_orders: bool = True
    """Ask about every pair twice, with the pictures exchanged. Paper: once."""
    distil_settings: Words = dataclasses.field(default_factory=dict)
    """Changes to `DistilConfig`."""
    updates: int = 4_000
    """Updates of each exploring agent, that which collects D_init too."""
    agents: tuple[str, ...] = ("random", "plan2explore", "vlm-motif", "sensei")
    """Who explores (see `presets.AGENTS`)."""
    first_generation: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """A run folder whose SENSEI agent collected D_init: the second generation. None: a Plan2Explore agent does."""

    def __post_init__(self) -> None:
        _check("preset", self.preset, list(PRESETS))
        _check("annotator", self.annotator, NAMES)
        for agent in self.agents:
            _check("agent", agent, list(AGENTS))
        _check_least(self, "pictures", "pairs", "updates")
        if self.rounds not in (1, 2):
            raise ValueError(f"rounds is {self.rounds}; it must be 1 or 2")
        if not self.agents:
            raise ValueError("agents is empty; somebody must explore")


_PAPER = RunPlan(
    world="keyroom-s15",
    preset="paper",
    pictures=100_000,
    pairs=100_000,
    rounds=1,
    both_orders=False,
    distil_settings={"encoder": "cnn", "hidden": 512, "learning_rate": 1e-5, "epochs": 50, "patience": 50},
    updates=250_000,
    agents=("plan2explore", "sensei"),
)

PLANS = {
    "smoke": RunPlan(
        world="keyroom-lab",
        preset="smoke",
        pictures=300,
        pairs=200,
        distil_settings={"epochs": 2},
        updates=20,
        agents=("plan2explore", "sensei"),
    ),
    "lab": RunPlan(),
    "lab-tabletop": RunPlan(
        world="tabletop-lab", preset="lab-tabletop", updates=8_000, agents=("plan2explore", "sensei")
    ),
    "lab-tabletop-numbers": RunPlan(
        world="tabletop-numbers", preset="lab-tabletop-numbers", updates=10_000, agents=("plan2explore", "sensei")
    ),
    # Plan2Explore and SENSEI see 500,000 environment steps each, as in the paper: 2 for each update.
    "paper": _PAPER,
    # 250,000 agent steps each, 2 for each update: the part of the paper's run whose interactions are published.
    "paper-robodesk": dataclasses.replace(
        _PAPER, world="robodesk", preset="paper-robodesk", pairs=200_000, updates=125_000
    ),
}
"""A plan for each preset."""
