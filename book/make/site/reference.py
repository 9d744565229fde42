"""The package's reference as Markdown pages, one for each module, written from its docstrings."""

from pathlib import Path

import griffe

ORDER = (
    ("Settings and shapes", ("config", "shapes", "spaces")),
    ("Mathematics", ("distributions", "returns", "networks", "layer_norm", "convolutions", "a_few_at_a_time")),
    ("The world model", ("rssm", "world_model", "replay")),
    ("Behaviour", ("disagreement", "novelty", "exploration", "actor_critic", "agent", "learning", "explorers")),
    ("Worlds", ("worlds",)),
    ("Taste", ("annotators", "observations", "semantic_reward", "reward_model", "reward_report", "reward_farming")),
    ("Training and stages", ("train", "train_host", "training_run", "pipeline", "run_plan", "collect")),
    ("Evidence", ("evaluate", "scores", "study")),
    ("For people", ("figures", "exploration_trace", "pretrained", "course", "checks", "widgets")),
)
"""What comes in which order; what is not named here stands at the end under "More"."""


def write_reference(package: Path, folder: Path) -> list[str]:
    """Write index.md and a page for each module into ``folder``, and remove pages of modules that are gone.

    Gives the names of the modules' pages, in order.
    """
    root = griffe.load(package.name, search_paths=[package.parent], docstring_parser="google", allow_inspection=False)
    modules = {module.path: module for module in _modules(root)}
    named = [name for _, names in ORDER for name in names]
    groups = [
        (title, [path for name in names for path in modules if _under(path, package.name, name)])
        for title, names in ORDER
    ]
    rest = [path for path in modules if path.split(".")[1:2] and path.split(".")[1] not in named]
    groups.append(("More", [path for path in rest if not path.split(".")[-1].startswith("__")]))
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"index.md": _index(modules, groups)}
    for _, paths in groups:
        for path in paths:
            pages[f"{_short(path)}.md"] = _page(modules[path])
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            (folder / name).write_text(text, encoding="utf-8")
    return [_short(path) for _, paths in groups for path in paths]


def _modules(module: griffe.Module) -> list[griffe.Module]:
    inner = [one for child in module.modules.values() if not child.is_alias for one in _modules(child)]
    return [module, *inner]


def _under(path: str, package: str, name: str) -> bool:
    return path == f"{package}.{name}" or path.startswith(f"{package}.{name}.")


def _short(path: str) -> str:
    return path.split(".", 1)[1]


def _first_sentence(module: griffe.Module) -> str:
    return module.docstring.value.split("\n")[0] if module.docstring else ""


def _index(modules: dict[str, griffe.Module], groups: list[tuple[str, list[str]]]) -> str:
    lines = [
        "# The package",
        "",
        "Every module, in the order of the data's way through it. Each page is written from docstrings.",
        "",
    ]
    for title, paths in groups:
        lines += [f"## {title}", ""]
        lines += [f"- [`{_short(path)}`]({_short(path)}.md): {_first_sentence(modules[path])}" for path in paths]
        lines.append("")
    return "\n".join(lines)


def _page(module: griffe.Module) -> str:
    lines = [f"# {_short(module.path)}", "", f"`sensei_lite/{_short(module.path).replace('.', '/')}`", ""]
    lines += _described(module)
    for member in module.members.values():
        if member.is_alias or member.name.startswith("_") or member.is_module:
            continue
        if member.is_class:
            lines += _class(member)
        elif member.is_function:
            lines += _function(member, level=2)
        elif member.is_attribute and member.docstring:
            lines += [
                f"## {member.name}",
                "",
                "```python",
                f"{member.name} = {member.value}"[:600],
                "```",
                "",
                *_described(member),
            ]
    return "\n".join(lines) + "\n"


def _class(found: griffe.Class) -> list[str]:
    bases = ", ".join(str(base) for base in found.bases)
    lines = [
        f"## {found.name}",
        "",
        "```python",
        f"class {found.name}({bases})" if bases else f"class {found.name}",
        "```",
        "",
    ]
    lines += _described(found)
    for member in found.members.values():
        if member.is_alias or (member.name.startswith("_") and member.name != "__call__"):
            continue
        if member.is_function:
            lines += _function(member, level=3)
        elif member.is_attribute:
            default = f" = {member.value}" if member.value is not None else ""
            lines += [f"`{member.name}: {member.annotation}{default}`" if member.annotation else f"`{member.name}`", ""]
            lines += [f"{line}" for line in _described(member)]
    return lines


def _function(found: griffe.Function, level: int) -> list[str]:
    signature = found.signature() if hasattr(found, "signature") else f"{found.name}(...)"
    return [f"{'#' * level} {found.name}", "", "```python", f"def {signature}", "```", "", *_described(found)]


def _described(found: griffe.Object) -> list[str]:
    """Write the docstring's sections as Markdown; lists of arguments become lists."""
    if found.docstring is None:
        return []
    lines: list[str] = []
    for section in found.docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.text:
            lines += [_text(section.value), ""]
        elif section.kind in (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.raises):
            what = "Arguments" if section.kind is griffe.DocstringSectionKind.parameters else "Raises"
            lines += [f"**{what}**", ""]
            for item in section.value:
                name = getattr(item, "name", None) or str(item.annotation)
                lines.append(f"- `{name}`: {_text(item.description)}")
            lines.append("")
        else:
            lines += [_text(getattr(section, "value", "")), ""] if isinstance(section.value, str) else []
    return lines


def _text(text: str) -> str:
    """Docstrings write code between one or two backticks; Markdown takes both. Headings would disturb the page."""
    return "\n".join(f"\\{line}" if line.startswith("#") else line for line in text.strip().splitlines())
