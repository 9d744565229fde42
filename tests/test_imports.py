"""Imports point one way, names are handed on lazily, and a notebook loads nothing heavy that it does not use."""

import ast
import contextlib
import importlib
import pkgutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from make.bench.imports import import_lines
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sensei_lite

PACKAGE = Path(__file__).parent.parent / "sensei_lite"
NOTEBOOKS = PACKAGE.parent / "notebooks"
HANDING_ON = ["sensei_lite", *(f"sensei_lite.{path.parent.name}" for path in sorted(PACKAGE.glob("*/__init__.pyi")))]

# From the ground up. A folder may import from itself and from those that stand before it in this list.
FLOORS = [
    {"config", "types"},
    {"presets"},
    {"models", "worlds", "annotators"},
    {"agent", "reward"},
    {"training"},
    {"plots"},
    {"course", "cli"},
    {"__main__"},
]


def part_of(module: str) -> str:
    """`sensei_lite.worlds.grid.world` belongs to the part `worlds`."""
    return [*module.split("."), ""][1]


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sensei_lite"):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("sensei_lite")}
    return found


def violations(package: Path) -> list[str]:
    rank = {part: height for height, floor in enumerate(FLOORS) for part in floor}
    wrong = []
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        own = part_of(name)
        if not own:
            continue
        if own not in rank:
            wrong.append(f"{name} has no place in FLOORS")
            continue
        for module in sorted(imports_of(path)):
            other = part_of(module)
            if other and other != own and rank.get(other, 99) >= rank[own]:
                wrong.append(f"{name} imports {module}")
    return wrong


def test_imports_go_down_only():
    assert violations(PACKAGE) == []


def undeclared(packages: set[str]) -> list[str]:
    """Find the installed packages that pyproject.toml neither names nor gets directly with one that it names."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    named = {Requirement(line).name for line in sum(project["optional-dependencies"].values(), project["dependencies"])}
    known = {canonicalize_name(name) for name in named}
    for name in named:
        with contextlib.suppress(PackageNotFoundError):
            known |= {canonicalize_name(Requirement(line).name) for line in requires(name) or ()}
    home = packages_distributions()
    return sorted(name for name in packages if name in home and known.isdisjoint(map(canonicalize_name, home[name])))


def test_every_package_that_is_imported_is_declared():
    """A package that happens to stand on the developer's machine is missing on everyone else's."""
    found = set()
    for path in [
        path for folder in ("sensei_lite", "book", "notebooks") for path in (PACKAGE.parent / folder).rglob("*.py")
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(part_of(f".{node.module}"))
            elif isinstance(node, ast.Import):
                found |= {part_of(f".{alias.name}") for alias in node.names}
    assert undeclared(found - {"sensei_lite"}) == []
    assert undeclared({"jax", "packaging"}) == []
    assert undeclared({"parso"}) == ["parso"]


def test_a_wrong_import_is_found(tmp_path):
    package = tmp_path / "sensei_lite"
    (package / "worlds").mkdir(parents=True)
    (package / "worlds" / "base.py").write_text("from sensei_lite.models.rssm import RSSM\n")
    (package / "reward.py").write_text("from sensei_lite.agent.state import init\n")
    (package / "stray.py").write_text("")
    assert violations(package) == [
        "sensei_lite.reward imports sensei_lite.agent.state",
        "sensei_lite.stray has no place in FLOORS",
        "sensei_lite.worlds.base imports sensei_lite.models.rssm",
    ]


def loaded_by(code: str) -> set[str]:
    """Every module that a fresh process has loaded after some code."""
    code += "\nimport sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("package", HANDING_ON)
def test_every_name_that_is_handed_on_is_there(package):
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        getattr(module, name)
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("package", HANDING_ON[1:])
def test_no_name_hides_a_module(package):
    """A name that is a module's too would mean one or the other, by who was imported first."""
    module = importlib.import_module(package)
    assert not set(module.__all__) & {found.name for found in pkgutil.iter_modules(module.__path__)}


def test_the_public_face_is_small_and_costs_little():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"config", "presets", "types"}
    assert 20 <= len(set(sensei_lite.__all__) - folders) <= 30
    loaded = loaded_by("import sensei_lite")
    assert "gymnasium" in loaded  # the worlds' ids are registered
    assert not {"jax", "equinox", "optax", "scipy", "matplotlib"} & loaded
    assert not {name for name in loaded if name.startswith("sensei_lite.")}


def test_importing_all_worlds_brings_no_optional_package():
    heavy = {"torch", "open_clip", "openai", "minihack", "nle", "minigrid", "pyboy", "ipywidgets", "matplotlib.pyplot"}
    heavy |= {"robodesk", "dm_control", "mujoco", "gym"}
    assert not heavy & loaded_by("from sensei_lite.worlds import *")


def test_a_notebook_loads_neither_store_nor_chat_nor_torch_unless_it_uses_them():
    annotating = ("05", "06", "09")
    sources = [path for path in sorted(NOTEBOOKS.glob("[0-9]*.py")) if not path.name.startswith(annotating)]
    assert len(sources) == 8
    loaded = loaded_by("\n".join(import_lines(path.read_text(encoding="utf-8")) for path in sources))
    heavy = {"sqlite3", "openai", "torch", "open_clip", "mujoco", "nle", "tyro"}
    heavy |= {"sensei_lite.annotators.store", "sensei_lite.annotators.chat", "sensei_lite.training.pipeline"}
    assert not heavy & loaded


def test_notebooks_import_from_few_places():
    for path in sorted(NOTEBOOKS.glob("[0-9]*.py")):
        lines = import_lines(path.read_text(encoding="utf-8"))
        assert len({line.split()[1] for line in lines.splitlines() if " sensei_lite" in line}) <= 6, path.name
