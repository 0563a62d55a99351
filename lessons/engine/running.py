"""Running exercises from a notebook or a lesson file: only the cells that a check depends on.

A check needs the cells that define the names it reads, those cells need others, and so on; the
experiments of a lesson, which take time, are usually not among them.
"""

import ast
import builtins
import json
import linecache
import symtable
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lessons.engine.exercises import NOT_ATTEMPTED, WRONG, Outcome, outcomes
from lessons.engine.source import LessonError, checked_ids, split_cells

SIMPLE = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


def code_cells(path: Path) -> list[str]:
    """The code cells of a notebook or of a percent-format file.

    Raises
        LessonError: the file is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            return [cell.text for cell in split_cells(text) if cell.kind == "code"]
        cells = [
            cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"
        ]
        return [_without_magics(s if isinstance(s, str) else "".join(s)) for s in cells]
    except FileNotFoundError:
        raise LessonError(f"{path}: no such file") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise LessonError(f"{path}: not a readable notebook or Python file ({error})") from error


def run_checks(cells: Sequence[str], ids: Iterable[str], name: str = "lesson") -> list[Outcome]:
    """The outcome of every exercise in `ids`, in that order.

    Cells run in one namespace, in order.  A cell that fails is passed over: if it calls a blank,
    what depends on it is not attempted; otherwise what depends on it is wrong and says why.
    """
    ids = list(ids)
    at = {id: i for i, cell in enumerate(cells) for id in checked_ids(cell)}
    wanted = sorted({i for id in ids if id in at for i in needed_cells(cells, at[id])})
    namespace: dict[str, Any] = {"__name__": "__main__"}
    failed: dict[int, Exception] = {}
    with outcomes() as found:
        for i in wanted:
            try:
                execute(cells[i], namespace, f"<{name}, code cell {i + 1}>")
            except Exception as error:
                failed[i] = error
    by_id = {outcome.id: outcome for outcome in found}
    return [by_id.get(id) or _no_outcome(id, cells, at, failed, by_id) for id in ids]


def execute(code: str, namespace: dict[str, Any], name: str) -> None:
    """Run a cell so that tracebacks and inspect.getsource find its lines."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), namespace)


def needed_cells(cells: Sequence[str], target: int) -> list[int]:
    """The cells up to `target` that define what it reads, directly or not, and itself."""
    reads, writes = zip(*(_names(cell) for cell in cells[: target + 1]), strict=True)
    chosen, open_names = {target}, set(reads[target])
    while True:
        more = {
            i
            for i in range(target)
            if i not in chosen and (writes[i] is None or writes[i] & open_names)
        }
        if not more:
            return sorted(chosen)
        chosen |= more
        open_names = open_names.union(*(reads[i] for i in more))


def _names(code: str) -> tuple[set[str], set[str] | None]:
    """The names a cell needs from elsewhere, and those it defines (None: it cannot be read)."""
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return set(), None
    reads: set[str] = set()
    writes: set[str] = set()
    certain: set[str] = set()  # defined so far in this cell, whatever happens
    for statement in statements:
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        reads |= _globals_read(table) - certain
        written = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
        if isinstance(statement, SIMPLE):
            certain |= written
        writes |= written | _bases_changed(statement)
    return {name for name in reads if not hasattr(builtins, name)}, writes


def _globals_read(table: symtable.SymbolTable) -> set[str]:
    top = table.get_type() == "module"
    found = {
        s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global())
    }
    return found.union(*(_globals_read(child) for child in table.get_children()))


def _bases_changed(statement: ast.stmt) -> set[str]:
    """x of x[0] = ... and x.y = ..., outside of functions."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return set()
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            base: ast.expr = node
            while isinstance(base, ast.Subscript | ast.Attribute):
                base = base.value
            found |= {base.id} if isinstance(base, ast.Name) else set()
    return found


def _no_outcome(
    id: str,
    cells: Sequence[str],
    at: dict[str, int],
    failed: dict[int, Exception],
    by_id: dict[str, Outcome],
) -> Outcome:
    """What to say of an exercise whose check was not reached."""
    if id not in at:
        return Outcome(id, NOT_ATTEMPTED, f"· {id}: no cell calls check({id!r}, ...)")
    errors = {i: failed[i] for i in needed_cells(cells, at[id]) if i in failed}
    for error in errors.values():
        if isinstance(error, NotImplementedError):
            text = f"· {id}: not attempted\n    it needs exercise {error}, which is still blank"
            return Outcome(id, NOT_ATTEMPTED, text)
    i, error = next(iter(errors.items()))
    first = next(line for line in cells[i].splitlines() if line.strip())
    lines = [f"✗ {id}: wrong", f"    the cell that begins with {first.strip()!r}"]
    if isinstance(error, SyntaxError):
        lines[-1] += f" is no Python: line {error.lineno}, {error.msg}"
        lines += [f"    {error.text.rstrip()}"] if error.text else []
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        lines[-1] += f" fails: {type(error).__name__}: {error}"
        lines += [f"    at: {last.line}"] if last.line else []
    return Outcome(id, WRONG, "\n".join(lines))


def _without_magics(code: str) -> str:
    """Lines for IPython alone, such as %matplotlib, left empty."""
    return "\n".join("" if line.startswith(("%", "!")) else line for line in code.splitlines())
