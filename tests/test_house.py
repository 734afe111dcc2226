"""The house's plan: imports point down, never round in a circle, and TensorFlow is imported where training is."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "artray"

ROOMS = (
    "errors",
    "console",
    "job",
    "cluster",
    "vocabulary",
    "sample",
    "storage",
    "images",
    "catalogs",
    "ingest",
    "download",
    "models",
    "features",
    "patches",
    "bundles",
    "labeling",
    "engine",
    "classifiers",
    "words",
    "queues",
    "gans",
    "report",
    "agreement",
    "comparison",
    "film",
    "style_transfer",
    "exports",
    "super_resolution",
    "estimate",
    "demo",
    "stations",
    "api",
    "estimators",
    "__main__",
)
"""From the ground floor up: a room imports only from itself and from rooms named before it."""

TENSORFLOW = {"artray.engine", "artray.features.objects", "artray.exports.forms"}
"""Where TensorFlow may be imported: below these."""


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def nodes(module: str) -> list[ast.AST]:
    """Of a module's syntax tree."""
    return list(ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))))


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports, within functions too; of artray's each by its own name."""
    for node in nodes(module):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            assert node.module is not None
            for item in node.names:
                below = f"{node.module}.{item.name}"
                yield below if below in FILES else node.module


@cache
def graph() -> dict[str, list[str]]:
    """The modules of artray that each imports; artray itself none: its names are loaded when they are used."""
    known = {module: {name for name in imports(module) if name in FILES} for module in FILES}
    return {module: sorted(names) for module, names in (known | {"artray": set()}).items()}


def room(module: str) -> str | None:
    """The package or module right below `artray`; None: artray itself, which holds its version."""
    _, _, below = module.partition(".")
    return below.partition(".")[0] or None


def test_every_room_has_its_floor():
    assert {room(module) for module in FILES} - {None} == set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_imports_point_down(name):
    allowed = {None, *ROOMS[: ROOMS.index(name) + 1]}
    up = [
        f"{module} -> {other}"
        for module, others in graph().items()
        if room(module) == name
        for other in others
        if room(other) not in allowed
    ]
    assert up == []


def test_there_is_no_circle():
    """Of modules, within a room too."""
    waiting, done = dict.fromkeys(graph(), 0), set()
    while ready := [module for module in waiting if set(graph()[module]) - {module} <= done]:
        for module in ready:
            del waiting[module]
            done.add(module)
    assert list(waiting) == []


def test_tensorflow_is_imported_in_its_places_only():
    found = {
        module
        for module in FILES
        if any(name.partition(".")[0] == "tensorflow" for name in imports(module))
        and not any(module == place or module.startswith(f"{place}.") for place in TENSORFLOW)
    }
    assert found == set()


def test_the_whole_config_is_known_only_where_it_is_read_or_carried():
    """Examples, losses, schedules, baseline, metrics and evaluation are told what they use of it."""
    whole = "artray.classifiers.config"
    found = {
        module
        for module in FILES
        for node in nodes(module)
        if isinstance(node, ast.ImportFrom) and node.module == whole and {"TrainConfig"} & {x.name for x in node.names}
    }
    rooms = {f"artray.classifiers.{name}" for name in ("station", "search", "loop", "closed_form", "bundling")}
    assert found <= rooms | {"artray.comparison.augmentation_study"}


def test_models_know_neither_ray_nor_a_backend():
    for module in FILES:
        if room(module) == "models":
            assert not {name.partition(".")[0] for name in imports(module)} & {"ray", "tensorflow", "torch", "jax"}


def test_no_function_takes_more_than_five_arguments_by_position():
    found = []
    for module in FILES:
        for node in nodes(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [
                    item.arg for item in (*node.args.posonlyargs, *node.args.args) if item.arg not in ("self", "cls")
                ]
                if len(names) > 5:
                    found.append(f"{module}:{node.lineno} {node.name}({', '.join(names)})")
    assert found == []


def test_no_call_gives_more_than_five_arguments_by_position():
    found = [
        f"{module}:{node.lineno} {ast.unparse(node.func)}"
        for module in FILES
        for node in nodes(module)
        if isinstance(node, ast.Call) and len(node.args) > 5
    ]
    assert found == []


def named(module: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and type of each parameter (of a lambda too, which has none) and each field of a class."""
    for node in nodes(module):
        if isinstance(node, ast.arguments):
            given = [*node.posonlyargs, *node.args, *node.kwonlyargs, *filter(None, (node.vararg, node.kwarg))]
            for item in given:
                yield item.lineno, item.arg, ast.unparse(item.annotation) if item.annotation else ""
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    yield item.lineno, item.target.id, ast.unparse(item.annotation)


def test_parameters_and_fields_say_what_was_found_where_and_whose():
    """The words of ARCHITECTURE.md: none is called `found`, `own` or `place`, and a `part` is one of the split."""
    kept = {("artray.engine.shards", "place")}  # an argument of the pass `examples`, so in the plans of earlier ones
    types: dict[str, set[str]] = {
        "found": set(),
        "own": set(),
        "place": set(),
        "part": {"", "str", "str | None", "Part"},
    }
    vague = [
        f"{module}:{line} {name}: {kind}"
        for module in FILES
        for line, name, kind in named(module)
        if name in types and kind not in types[name] and (module, name) not in kept
    ]
    assert vague == []


def test_the_architecture_names_every_module_where_it_is():
    """The tree at the head of ARCHITECTURE.md, room by room."""
    tree = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("    tools/")[0]
    told: dict[str, set[str]] = {}
    here = ""
    for line in tree.splitlines():
        if entered := re.match(r" {6}(\w+)/", line):
            here = entered[1]
        elif re.match(r" {6}\w", line):
            here = ""
        told.setdefault(here, set()).update(re.findall(r"\b(\w+)\.py\b", line))
    by_kind = {"features", "sample", "vocabulary"}  # one module a feature, a file of data: told in a sentence
    for place in (path for path in PACKAGE.iterdir() if (path / "__init__.py").exists() and path.name not in by_kind):
        there = {file.stem for file in place.glob("*.py")} - {"__init__"}
        below = {file.stem for file in place.glob("*/*.py")}
        assert there <= told[place.name] <= there | below, place.name
