"""Solutions with one term removed: what a check must notice."""

import ast
import copy
from collections.abc import Iterator

from lessons.engine.source import BEGIN, END


def mutants(code: str) -> Iterator[tuple[str, str]]:
    """(what was removed, the cell without it) for every term inside the cell's solutions."""
    inside = _solution_lines(code)
    tree = ast.parse(code)
    for n, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", 0) not in inside:
            continue
        for what, edit in _edits(node):
            changed = copy.deepcopy(tree)
            twin = next(m for i, m in enumerate(ast.walk(changed)) if i == n)
            yield f"line {node.lineno}: {what}", ast.unparse(_Replace(twin, edit).visit(changed))


def _solution_lines(code: str) -> set[int]:
    inside, lines = False, set()
    for number, line in enumerate(code.splitlines(), start=1):
        inside = bool(BEGIN.match(line)) or (inside and not END.match(line))
        if inside:
            lines.add(number)
    return lines


def _edits(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(description, kind of edit) of what can be removed at a node."""
    if isinstance(node, ast.BinOp) and isinstance(
        node.op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.MatMult
    ):
        yield f"{ast.unparse(node)} without its right side", "left"
        if isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
            yield f"{ast.unparse(node)} without its left side", "right"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield f"{ast.unparse(node)} without its sign", "operand"
    elif isinstance(node, ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield f"without the statement {ast.unparse(node)}", "pass"


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, edit: str) -> None:
        self.target, self.edit = target, edit

    def visit(self, node: ast.AST) -> ast.AST:
        if node is not self.target:
            return self.generic_visit(node)
        if self.edit == "pass":
            return ast.Pass()
        return getattr(node, self.edit)
