"""Which part of nnlib may import which, and what nobody may import where."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nnlib"

MATHS = {"array", "init", "parameter", "layer", "functional"}
MAY_IMPORT: dict[str, set[str]] = {
    "array": set(),
    "storage": {"array"},
    "threads": set(),
    "init": {"array"},
    "functional": {"array", "functional"},
    "parameter": {"array", "functional"},
    "layer": {"array", "parameter", "storage"},
    "layers": MATHS | {"layers"},
    "losses": MATHS | {"losses"},
    "optim": MATHS | {"optim"},
    "data": {"array", "storage", "data"},
    "metrics": {"array", "data", "functional", "compiled", "metrics"},
    "models": MATHS
    | {"layers", "losses", "optim", "data", "metrics", "storage", "threads", "compiled", "cuda"}
    | {"models"},
    "check": {"array", "parameter", "layer", "check"},
    "compiled": {"array", "functional", "compiled"},
    "cuda": {"array", "functional", "cuda"},
    "plot": {"array", "metrics"},
}
# Files and folders that may do more than the rest of their part.
FURTHER: dict[str, set[str]] = {
    "nnlib.check.cases": {"functional", "layers", "losses", "models"},
}
# What models are made of, no models themselves.
SHARED_BASES = {"Recommender", "ItemVectors", "PairModel"}
# Models do not import one another, except these: child → parents.
MODEL_PARENTS: dict[str, set[str]] = {
    "nnlib.models.baselines.vsknn": {"nnlib.models.baselines.session_knn"},
    "nnlib.models.embeddings.meta_prod2vec": {"nnlib.models.embeddings.prod2vec"},
    "nnlib.models.embeddings.user2vec": {"nnlib.models.embeddings.paragraph_vectors"},
    "nnlib.models.session.warm_start": {"nnlib.models.session.gru4rec"},
    "nnlib.models.session.relevar": {"nnlib.models.session.gru4rec"},
    "nnlib.models.session.prefix_gru4rec": {"nnlib.models.session.gru4rec"},
    "nnlib.models.session.distilled_gru4rec": {
        "nnlib.models.session.gru4rec",
        "nnlib.models.session.prefix_gru4rec",
    },
    "nnlib.models.session.cosine_gru4rec": {
        "nnlib.models.session.gru4rec",
        "nnlib.models.session.prefix_gru4rec",
    },
}

NEVER = {"torch", "pandas", "tensorflow", "jax", "sklearn", "onnxruntime", "lessons", "tests"}
LAZY = {
    "threadpoolctl",
    "matplotlib",
    "polars",
    "scipy",
    "safetensors",
    "cupy",
    "cupyx",
    "numba",
    "onnx",
    "rich",
    "typer",
}
# Where the others of these may be imported at all; "eager": at the top of the file too.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "cupy": ("nnlib.array", "nnlib.cuda"),
    "cupyx": ("nnlib.functional.rows", "nnlib.cuda"),
    "numba": ("nnlib.compiled",),
    "scipy": ("nnlib.functional",),
    "onnx": ("nnlib.models.session.onnx_step",),
    "safetensors": ("nnlib.storage",),
    "matplotlib": ("nnlib.plot", "nnlib.cli", "nnlib.check.figures"),
}
EAGER: dict[str, tuple[str, ...]] = {
    "cupy": ("nnlib.cuda",),
    "cupyx": ("nnlib.cuda",),
    "numba": ("nnlib.compiled",),
    "rich": ("nnlib.cli",),
    "typer": ("nnlib.cli",),
}


class Edge(NamedTuple):
    source: str  # module that imports
    target: str  # module that is imported
    line: int
    lazy: bool  # inside a function
    typing: bool  # under TYPE_CHECKING: for annotations only, nothing is imported

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(source: str, path: Path) -> Iterator[Edge]:
    def visit(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Edge]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Edge(source, alias.name, node.lineno, lazy, typing)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}:{node.lineno} is a relative import"
            base = node.module or ""
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield Edge(source, name if name in SOURCES else base, node.lineno, lazy, typing)
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for field, value in ast.iter_fields(node):
            guarded = (
                isinstance(node, ast.If)
                and field == "body"
                and ast.unparse(node.test) == "TYPE_CHECKING"
            )
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, lazy, typing or guarded)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False, False)


ALL_EDGES = [edge for name, path in SOURCES.items() for edge in imports(name, path)]
EDGES = [edge for edge in ALL_EDGES if not edge.typing]


def within(module: str, parents: tuple[str, ...]) -> bool:
    return any(module == parent or module.startswith(f"{parent}.") for parent in parents)


def part(module: str) -> str:
    """ "layers" of "nnlib.layers.dense"; "" of "nnlib" itself."""
    return ".".join(module.split(".")[1:2])


def internal_breaches() -> list[str]:
    found = []
    for edge in EDGES:
        if not within(edge.target, ("nnlib",)):
            continue
        source, target = part(edge.source), part(edge.target)
        allowed = MAY_IMPORT.get(source, set()).union(
            *(more for place, more in FURTHER.items() if within(edge.source, (place,)))
        )
        if source == "" and target not in ("check", "cli", "cuda"):
            continue  # nnlib/__init__.py names what a student uses
        if source == "cli" or target in allowed:
            continue
        found.append(f"{edge}: {source or 'nnlib'} may import {sorted(allowed)} only")
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 30
    assert any(edge.target == "nnlib.parameter" for edge in EDGES)
    assert any(edge.target == "polars" and edge.lazy for edge in EDGES)


def test_import_directions() -> None:
    breaches = internal_breaches()
    assert not breaches, "\n".join(breaches)


def test_every_part_has_a_rule() -> None:
    parts = {part(name) for name in SOURCES} - {"", "cli"}
    assert parts <= MAY_IMPORT.keys()


def test_check_is_imported_by_the_command_line_only() -> None:
    users = {e.source for e in ALL_EDGES if within(e.target, ("nnlib.check",))}
    assert {u for u in users if not within(u, ("nnlib.check", "nnlib.cli"))} == set()


def models() -> dict[str, list[str]]:
    """The recommenders that each module defines, children of other recommenders included."""
    bases = {
        (module, node.name): {ast.unparse(base) for base in node.bases}
        for module, path in SOURCES.items()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and part(module) == "models"
    }
    names = {"Recommender"}
    while new := {name for (_, name), parents in bases.items() if parents & names} - names:
        names |= new
    found: dict[str, list[str]] = {}
    for module, name in bases:
        if name in names - SHARED_BASES:
            found.setdefault(module, []).append(name)
    return found


def test_models_do_not_import_one_another() -> None:
    found = models()
    assert "nnlib.models.session.gru4rec" in found
    breaches = [
        str(edge)
        for edge in EDGES
        if edge.source in found
        and edge.target in found
        and edge.target not in MODEL_PARENTS.get(edge.source, set())
    ]
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize("library", sorted(NEVER | LAZY))
def test_third_parties(library: str) -> None:
    found = []
    for edge in ALL_EDGES if library in NEVER else EDGES:
        if edge.target.split(".")[0] != library:
            continue
        if library in NEVER:
            found.append(f"{edge}: nnlib does without it")
        elif library in ONLY_IN and not within(edge.source, ONLY_IN[library]):
            found.append(f"{edge}: it may be imported in {ONLY_IN[library]} only")
        elif not edge.lazy and not within(edge.source, EAGER.get(library, ())):
            found.append(f"{edge}: import it inside the function that needs it")
    assert not found, "\n".join(found)


def test_importing_everything_loads_nothing_heavy() -> None:
    """In a fresh interpreter: all of nnlib but the command line and the kernels."""
    apart = ("nnlib.cli", "nnlib.compiled", "nnlib.cuda", "nnlib.__main__")
    names = [n for n in SOURCES if not within(n, apart)]
    heavy = sorted((LAZY | NEVER) - {"tests", "lessons"})
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
