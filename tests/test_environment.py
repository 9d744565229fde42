"""pyproject.toml, constraints.txt, environment.yml and the Makefile describe one environment."""

import re
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def constraints() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def stated() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(line) for requirements in lists for line in requirements]
    return [requirement for requirement in found if requirement.name != "sensei-lite"]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_every_requirement_is_pinned_once_inside_its_range(python, system):
    where = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system}
    where |= {"platform_machine": "x86_64", "platform_system": {"linux": "Linux", "darwin": "Darwin"}.get(system, "")}
    pins: dict[str, str] = {}
    for pin in constraints():
        if pin.marker is None or pin.marker.evaluate(where):
            name = canonicalize_name(pin.name)
            assert name not in pins, f"{name} is pinned twice"
            pins[name] = next(iter(pin.specifier)).version
    for requirement in stated():
        if requirement.marker is None or requirement.marker.evaluate(where):
            version = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def test_constraints_name_no_address():
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"://|--index|--find-links|@ ", text)


def test_all_holds_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (everything,) = (Requirement(line) for line in extras["all"])
    assert everything.extras == set(extras) - {"all"}


def test_minihack_is_for_linux_only():
    where = {"sys_platform": "darwin"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not any(Requirement(line).marker.evaluate(where) for line in extras["minihack"])


def test_conda_environment_is_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, from_pip = environment["dependencies"]
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert Requirement("python" + requires).specifier.contains(python.partition("=")[2] + ".0")
    assert pip == "pip"
    assert from_pip == {"pip": ["-c constraints.txt", "-e .[all]"]}


def test_make_and_the_readme_name_the_same_commands():
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert named <= targets, f"the README names commands that do not exist: {named - targets}"
    assert {"run", "test", "lab", "bench"} <= named


def test_installed_versions_are_the_tested_ones():
    """What these tests run with is what constraints.txt says (a local build tag such as +cpu is the same version)."""
    site = [sysconfig.get_path("purelib")]  # not sys.path: setuptools adds the packages that it bundles
    installed = {canonicalize_name(one.metadata["Name"]): one.version for one in metadata.distributions(path=site)}
    assert "jax" in installed
    for pin in constraints():
        name = canonicalize_name(pin.name)
        if name in installed and (pin.marker is None or pin.marker.evaluate()):
            assert pin.specifier.contains(installed[name]), f"{pin} but {installed[name]} is installed"
