"""`nnlib gradcheck`: every hand-written gradient against central differences."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnlib.cli.terminal import AsJson, check_seed, console, print_json, table

if TYPE_CHECKING:
    from nnlib.check import GradientReport


def gradcheck(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="GRU, cross_entropy, ...: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the numbers that are tried.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Check every layer, function and loss in float64: each coordinate of each input and parameter.

    With names, the tables of those, array by array. The exit code is 1 if a check fails.
    """
    from nnlib.check.cases import run_cases

    check_seed(seed)
    reports = list(run_cases(names, seed=seed))
    failed = [report.name for report in reports if not report.passed]
    if as_json:
        print_json({"passed": not failed, "cases": [_to_dict(report) for report in reports]})
    elif names:
        print("\n\n".join(str(report) for report in reports))
    else:
        _print_summary(reports)
    if failed:
        raise typer.Exit(1)


def _print_summary(reports: "list[GradientReport]") -> None:
    from rich.text import Text

    verdict = {True: Text("passed", "green"), False: Text("FAILED", "bold red")}
    rows = []
    for report in reports:
        worst = max(report.rows, key=lambda row: row.error, default=None)
        rows.append(
            (
                report.name,
                str(len(report.rows)),
                f"{report.error:.1e}",
                worst.name if worst else "-",
                verdict[report.passed],
            )
        )
    out = console()
    out.print("[bold]Analytic against numeric gradients in float64, and the contract[/]")
    out.print(table(("", "arrays", "largest error", "in", ""), rows))
    for report in reports:
        if not report.passed:
            out.print(f"\n{report}", markup=False)
    n_passed = sum(report.passed for report in reports)
    out.print(f"\n{n_passed} of {len(reports)} passed")


def _to_dict(report: "GradientReport") -> dict[str, Any]:
    return {
        "name": report.name,
        "passed": report.passed,
        "error": _number(report.error),
        "tolerance": report.tolerance,
        "problems": list(report.problems),
        "arrays": [
            {
                "name": row.name,
                "shape": list(row.shape),
                "error": _number(row.error),
                "worst": None if row.worst is None else list(row.worst),
                "analytic": _number(row.analytic),
                "numeric": _number(row.numeric),
            }
            for row in report.rows
        ],
    }


def _number(value: float) -> float | str:
    """JSON has no word for infinity and NaN."""
    return value if abs(value) < float("inf") else str(value)
