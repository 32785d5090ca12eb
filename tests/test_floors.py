"""The floors that ARCHITECTURE.md draws: an import only goes down, and there are no circles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest


def _floors(project_root: Path) -> list[list[str]]:
    """The rooms of each floor, bottom up, as ARCHITECTURE.md lists them."""
    text = (project_root / "ARCHITECTURE.md").read_text()
    block = text.partition("Floors, bottom up")[2].split("```")[1]
    floors = []
    for line in block.strip().splitlines():
        names = line.split("  shipped to the Hub")[0].replace(".py", "").split()
        floors.append([name if "." in name or line[0] == "r" else f"musicssl.{name}" for name in names])
    floors[0] = [name.removeprefix("musicssl.") for name in floors[0]]  # the model packages stand beside musicssl
    return floors


def _modules(project_root: Path) -> dict[str, Path]:
    files = [*project_root.glob("run_*.py")]
    for package in ("music2vec", "musichubert", "musicssl", "study", "benchmarks"):
        files += (project_root / package).rglob("*.py")
    names = {}
    for path in files:
        parts = path.relative_to(project_root).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def _imports(name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of the project that a module names anywhere in an import, also inside functions."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base for alias in node.names}
    return found & modules.keys() - {name}


@pytest.fixture(scope="module")
def imports(project_root) -> dict[str, set[str]]:
    modules = _modules(project_root)
    return {name: _imports(name, path, modules) for name, path in modules.items()}


def test_no_import_goes_up(project_root, imports):
    floors = _floors(project_root)
    floor_of = {room: number for number, rooms in enumerate(floors) for room in rooms}

    def floor(module: str) -> int:
        rooms = [room for room in floor_of if module == room or module.startswith(f"{room}.")]
        assert rooms, f"{module} stands on no floor of ARCHITECTURE.md"
        return floor_of[rooms[0]]

    up = [
        f"{name} -> {target}"
        for name, targets in imports.items()
        for target in targets
        # What a package hands on, `from musicssl import extract`, is imported when it is used.
        if name not in ("musicssl", "musicssl.__main__") and target != "musicssl" and floor(target) > floor(name)
    ]
    assert up == []


def test_there_are_no_circles(imports):
    order = list(TopologicalSorter(imports).static_order())
    assert len(order) == len(imports) > 200
