"""The gradient check notices when a backward loses a term.

Every backward of the library is broken in every way listed below, one at a time, by rewriting its
source, and the cases of its module are run on the broken code: one of them must fail.

    W.accumulate(...), dx += ..., xp.multiply(..., out=...)     left out
    a + b, a − b        a alone, b alone, and with the other sign
    a * b, a / b        a alone, b alone
    a.T                 a
    −a                  a
A mutant that survives means that a case is too weak (zeros, a size of 1, a symmetric input), or
that the change makes no difference: then it belongs into EQUIVALENT, with the reason.
"""

import ast
import contextlib
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Iterator
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import pytest

import nnlib.functional
import nnlib.layers
import nnlib.losses
from nnlib.check.cases import CASES, SIZES, run

# (function, "before → after"): why the gradient stays the same
EQUIVALENT: dict[tuple[str, str], str] = {}

# Functions that compute loss and gradient in one go, and what they assign before the gradient.
GRADIENT_AFTER = {"bpr_max_block": "losses", "bpr_max_in_logs": "losses"}

# Modules without cases of their own: the module whose cases run their code.
CHECKED_BY = {"nnlib.functional.ranking": "nnlib.losses.ranking"}

# By module, the case that noticed the last slip: it is tried first, for it often notices the next.
NOTICED_LAST: dict[str, str] = {}


def modules() -> list[ModuleType]:
    packages: list[Any] = [nnlib.functional, nnlib.layers, nnlib.losses]
    names = [
        info.name for p in packages for info in pkgutil.iter_modules(p.__path__, f"{p.__name__}.")
    ]
    return [importlib.import_module(name) for name in names]


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Top-level functions and methods, by qualified name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
            yield from ((f"{node.name}.{method.name}", method) for method in methods)


def backward_parts(function: ast.FunctionDef) -> list[ast.AST]:
    """What runs when the backward does: all of `op_backward`, else `backward` or a lambda."""
    if function.name.endswith("_backward"):
        return list(function.body)
    if function.name in GRADIENT_AFTER:
        first = f"{GRADIENT_AFTER[function.name]} = "
        at = next(i for i, s in enumerate(function.body) if ast.unparse(s).startswith(first))
        return list(function.body[at + 1 :])
    parts: list[ast.AST] = []
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef) and node.name == "backward":
            parts += node.body
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            parts += [e.body for e in node.value.elts if isinstance(e, ast.Lambda)]
    return parts


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but for indices and keyword arguments, which are no terms."""
    yield node
    for field, value in ast.iter_fields(node):
        if (isinstance(node, ast.Subscript) and field == "slice") or field == "keywords":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from walk(child)


def slips(node: ast.AST) -> list[ast.AST]:
    """What a slip of the pen could have put in the place of this node."""
    match node:
        case ast.BinOp(left, ast.Add(), right):
            return [left, right, ast.BinOp(left, ast.Sub(), right)]
        case ast.BinOp(left, ast.Sub(), right):
            return [left, right, ast.BinOp(left, ast.Add(), right)]
        case ast.BinOp(left, ast.Mult() | ast.Div(), right):
            return [left, right]
        case ast.UnaryOp(ast.USub(), operand):
            return [operand]
        case ast.Attribute(value, "T"):
            return [value]
        case ast.AugAssign() | ast.Expr(ast.Call()):
            return [ast.Pass()]
    return []


class Replace(ast.NodeTransformer):
    """Put `new` where `old` is."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else super().visit(node)


def mutants(module: ModuleType, name: str) -> Iterator[tuple[str, CodeType]]:
    """("before → after", code of the function) of every slip in its backward."""
    tree = ast.parse(inspect.getsource(module))
    for part in backward_parts(dict(functions(tree))[name]):
        for old in list(walk(part)):
            for new in slips(old):
                change = f"{ast.unparse(old)} → {ast.unparse(new)}"
                Replace(old, new).visit(tree)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SyntaxWarning)  # of mutants such as 1[:, None]
                    code = compile(ast.fix_missing_locations(tree), str(module.__file__), "exec")
                Replace(new, old).visit(tree)
                yield change, find_code(code, name)


def find_code(code: CodeType, name: str) -> CodeType:
    """The code of a function by its qualified name, from its module's code."""
    for part in name.split("."):
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == part)
    return code


@contextlib.contextmanager
def running(module: ModuleType, name: str, code: CodeType) -> Iterator[None]:
    """Let the function run other code, for all who imported it."""
    function: Any = module
    for part in name.split("."):
        function = vars(function)[part]
    function = inspect.unwrap(function)
    kept, function.__code__ = function.__code__, code
    try:
        yield
    finally:
        function.__code__ = kept


def noticed(module: ModuleType) -> bool:
    """Whether a case of the module fails, or its backward no longer runs at all."""
    checked_by = CHECKED_BY.get(module.__name__, module.__name__)
    cases = [case for case in CASES if case.target.__module__ == checked_by]
    for case in sorted(cases, key=lambda case: case.name != NOTICED_LAST.get(checked_by)):
        try:
            passed = run(case, np.random.default_rng(0), SIZES).passed
        except Exception:
            passed = False
        if not passed:
            NOTICED_LAST[checked_by] = case.name
            return True
    return False


BACKWARDS = [
    (module, name)
    for module in modules()
    for name, function in functions(ast.parse(inspect.getsource(module)))
    if backward_parts(function)
]


def test_there_are_backwards_to_break() -> None:
    assert len(BACKWARDS) >= 12
    survivors_of = {function for function, _ in EQUIVALENT}
    assert survivors_of <= {name for _, name in BACKWARDS}


@pytest.mark.parametrize(
    ("module", "name"), BACKWARDS, ids=[f"{m.__name__}:{name}" for m, name in BACKWARDS]
)
def test_every_slip_is_noticed(
    module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    undiagnosed = lambda *given, **context: None  # that it is wrong is enough here, not why
    monkeypatch.setattr("nnlib.check.gradients.diagnose", undiagnosed)
    assert not noticed(module), "a case fails before anything was broken"
    survivors = set()
    for change, code in mutants(module, name):
        with running(module, name, code):
            if not noticed(module):
                survivors.add((name, change))
    assert survivors == {key for key in EQUIVALENT if key[0] == name}
    assert not noticed(module), "a case fails after the repair"
