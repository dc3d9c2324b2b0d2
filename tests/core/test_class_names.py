"""One name of a class or of a type alias means one thing: package, recipes and benchmarks."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import eyechart

SOURCE = Path(eyechart.__file__).parent
TREES = (SOURCE, *(SOURCE.parents[1] / name for name in ("recipes", "benchmarks")))


def named(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Classes and type aliases, and whether the name is that of a command line option."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name, False
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias")):
                yield name, False
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_type_name(name):
                yield name, ast.unparse(value).startswith("Annotated[")
            case _ if type(node).__name__ == "TypeAlias":  # `type X = ...`, from Python 3.12
                yield ast.unparse(node).split()[1].partition("[")[0], False


def is_type_name(name: str) -> bool:
    bare = name.lstrip("_")
    return len(bare) > 1 and bare[0].isupper() and not bare.isupper()


def definitions(root: Path, *, options: bool) -> dict[str, list[str]]:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for name, is_option in named(ast.parse(path.read_text(encoding="utf-8"))):
            if is_option is options:
                # A private name is no reason for a second meaning.
                places[name.lstrip("_")].append(str(path.relative_to(root.parent)))
    return places


def test_no_type_name_is_defined_twice() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for root in TREES:
        if not root.is_dir():
            pytest.skip("only in a checkout")
        for name, found in definitions(root, options=False).items():
            places[name] += found
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_command_line_option_has_the_name_of_a_type() -> None:
    types = definitions(SOURCE, options=False)
    assert {name for name in definitions(SOURCE / "cli", options=True) if name in types} == set()
