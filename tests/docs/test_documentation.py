"""The documents say what the code does: their links, commands, flags, recipes and module names exist."""

import ast
import contextlib
import functools
import importlib.util
import io
import re
from pathlib import Path

import pytest

from musicssl.recipes import recipe_names

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
DOCUMENTS = sorted([ROOT / name for name in WRITTEN] + list((ROOT / "docs").rglob("*.md")))
# What the changelog says of flags and modules is also about names that are gone.
GUIDES = [path for path in DOCUMENTS if path.name not in ("CHANGELOG.md", "study.md", "study_tables.md")]
SCRIPTS = {"run_pretraining.py": "pretrain", "run_probing.py": "probe"}
COMMAND = re.compile(r"(?<!from )\bmusicssl\s+([a-z]+)\b(.*)|\b(run_pretraining\.py|run_probing\.py)(.*)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9_]*\b")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Flags in the documents that are not ours: of pip, make's shell, accelerate, pytest and the mkdocs build.
FOREIGN = {"--constraint", "--config_file", "--dataset", "--num_processes", "--quiet"}


def test_links_lead_somewhere(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        goal = (document.parent / path) if path else document
        if not goal.exists() or (anchor and anchor not in _anchors(goal)):
            broken.append(target)
    assert not broken


def test_commands_and_their_flags_exist(guide):
    unknown = []
    for command, rest in _command_lines(guide.read_text()):
        if command not in _commands():
            unknown.append(f"musicssl {command}")
            continue
        unknown += [f"musicssl {command} {flag}" for flag in FLAG.findall(rest) if flag not in _flags(command)]
    assert not unknown


def test_flags_in_prose_exist(guide):
    every = FOREIGN.union(*(_flags(command) for command in _commands()))
    prose = FENCE.sub("", guide.read_text())
    assert set(FLAG.findall(prose)) - every == set()


def test_recipes_exist(guide):
    lines = " ".join(rest for _, rest in _command_lines(guide.read_text()))
    named = re.findall(r"--config (\w+)(?![\w./])", lines)
    assert {name for name in named if not name.isupper()} <= set(recipe_names())


def test_python_in_documents_parses_and_imports_what_exists(guide):
    for language, code in FENCE.findall(guide.read_text()):
        if language == "python":
            modules = [name for node in ast.walk(ast.parse(code)) for name in _imported(node)]
            assert all(importlib.util.find_spec(name) for name in modules)


def test_api_pages_name_packages_that_exist():
    pages = [page.read_text() for page in (ROOT / "docs" / "api").glob("*.md")]
    names = [name for page in pages for name in re.findall(r"^::: (\S+)", page, re.M)]
    assert names and all(importlib.util.find_spec(name) for name in names)


def test_every_moved_module_is_where_the_changelog_says():
    table = (ROOT / "CHANGELOG.md").read_text().split("#### Moved modules")[1].split("\n\n")[1]
    missing = []
    for row in table.splitlines()[2:]:
        old, new = (re.findall(r"`([a-z][\w.]*)`(?!:)", cell) for cell in row.strip("|").split("|"))
        same = row.rstrip(" |").endswith("same names")
        # `a.b.c`, `d` | `x`, same names: b's modules c and d are x.c and x.d.
        modules = [f"{new[0]}.{name.rpartition('.')[2]}" for name in old] if same else new
        missing += [name for name in modules if "/" not in name and not _exists(name)]
    assert not missing


def test_overview_is_what_its_script_draws():
    spec = importlib.util.spec_from_file_location("draw_overview", ROOT / "docs" / "draw_overview.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PICTURE.read_text() == script.draw()


def test_citation_has_the_version_of_the_package():
    version = re.search(r"^version = (.+)$", (ROOT / "setup.cfg").read_text(), re.M)[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def pytest_generate_tests(metafunc):
    for name, paths in (("document", DOCUMENTS), ("guide", GUIDES)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, paths, ids=[str(path.relative_to(ROOT)) for path in paths])


def _command_lines(text: str) -> list[tuple[str, str]]:
    """(command, the rest of its line) of each `musicssl NAME …` and each `run_….py …` in code, blocks and inline."""
    blocks = [block for language, block in FENCE.findall(text) if language != "python"]
    code = "\n".join(blocks).replace("\\\n", " ").splitlines()
    code += [inline.replace("\n", " ") for inline in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    lines = []
    for line in code:
        # A launch names the launch file by a command of its own: $(musicssl recipes --path cpu).
        for part in [*re.findall(r"\$\((.*?)\)", line), re.sub(r"\$\(.*?\)", "", line)]:
            if found := COMMAND.search(part.split(" # ")[0]):
                lines.append((found[1], found[2]) if found[1] else (SCRIPTS[found[3]], found[4]))
    return lines


@functools.cache
def _commands() -> frozenset[str]:
    from musicssl.commands.main import COMMANDS

    return frozenset(COMMANDS)


@functools.cache
def _flags(command: str) -> frozenset[str]:
    """Every flag in the help of a command, and of its actions (`musicssl labels plot`)."""
    lines = [[command]] + [[command, action] for action in (("plot", "compare") if command == "labels" else ())]
    return frozenset(flag for line in lines for flag in FLAG.findall(_help(line)))


def _help(command_line: list[str]) -> str:
    from musicssl.commands.main import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "400")
        main([*command_line, "--help"])
    return printed.getvalue()


def _anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) else []


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
