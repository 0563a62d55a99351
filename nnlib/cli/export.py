"""`nnlib export`: a trained GRU4Rec as an ONNX file that any ONNX runtime serves."""

from pathlib import Path
from typing import Annotated

import typer

from nnlib.cli.settings import check_folder
from nnlib.cli.terminal import AsJson, Stop, console, print_json


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File written by nnlib train.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="File to write.")],
    k: Annotated[int, typer.Option("-k", help="How many items a step gives.")] = 20,
    as_json: AsJson = False,
) -> None:
    """A step of a GRU4Rec as an ONNX file: click and state in, best items and new state out.

    Items go in and come out as codes; the file's metadata has item_ids, the raw id of each code as
    a JSON list. State starts at zero. Needs the package onnx: pip install 'nnlib[export]'.
    """
    from nnlib.models import GRU4Rec, load_model
    from nnlib.models.session.onnx_step import export_onnx

    if out.suffix != ".onnx" or out.is_dir():
        raise Stop(f"{out}: give the name of a file that ends in .onnx")
    check_folder(out.parent)
    recommender = load_model(model)
    if not isinstance(recommender, GRU4Rec):
        raise Stop(f"{model}: a {type(recommender).__name__}: only a GRU4Rec can be exported")
    try:
        export_onnx(recommender, out, k)
    except ImportError as error:
        raise Stop(str(error)) from None
    n, states = len(recommender.item_ids_), list(recommender.hidden)
    if as_json:
        print_json({"out": str(out), "items": n, "k": min(k, n), "states": states})
    else:
        console().print(
            f"wrote {out}: {n:,} items, the best {min(k, n)} at each step, states of {states}",
            soft_wrap=True,
        )
