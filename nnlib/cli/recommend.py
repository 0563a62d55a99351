"""`nnlib recommend`: what to show to someone who has clicked on these items."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnlib.cli.terminal import AsJson, Stop, console, print_json, table

if TYPE_CHECKING:
    from nnlib.array import Array


def recommend(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File written by nnlib train.")],
    items: Annotated[list[str], typer.Argument(metavar="ITEM", help="Clicks, oldest first.")],
    n: Annotated[int, typer.Option("-n", help="How many items to recommend.")] = 10,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen", help="Leave the clicked items out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The best next items after a session's clicks, with their scores."""
    from nnlib.models import load_model

    if n < 1:
        raise Stop(f"-n {n}: ask for at least one item")
    recommender = load_model(model)
    ids = as_raw_ids(items, recommender.item_ids_)
    known = set(recommender.item_ids_.tolist())
    if not known.intersection(ids):
        example = next(iter(recommender.item_ids_.tolist()))
        raise Stop(
            f"the model knows none of the items {', '.join(item or repr(item) for item in items)}: "
            f"its ids are like {example}"
        )
    best = recommender.recommend(ids, n, exclude_seen=exclude_seen)
    if as_json:
        print_json({"items": ids, "recommendations": [{"item": i, "score": s} for i, s in best]})
        return
    rows = [(str(item), f"{score:.4f}") for item, score in best]
    console().print(table(("item", "score"), rows))


def as_raw_ids(texts: list[str], item_ids: "Array") -> list[Any]:
    """Words of the command line as ids of the kind that the model has, integers or text."""
    if item_ids.dtype.kind not in "iu":
        return list(texts)
    return [int(text) if text.removeprefix("-").isdecimal() else text for text in texts]
