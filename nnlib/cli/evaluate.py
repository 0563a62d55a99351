"""`nnlib evaluate`: how well a model file predicts the clicks of a log."""

from pathlib import Path
from typing import Annotated

import typer

from nnlib.cli.settings import ItemColumn, SessionColumn, TimeColumn, read_log
from nnlib.cli.terminal import AsJson, Stop, print_json


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File written by nnlib train.")],
    log: Annotated[Path, typer.Argument(metavar="TEST.tsv", help="Clicks not trained on.")],
    k: Annotated[str, typer.Option(help="Cut-offs of recall and MRR.")] = "1,5,10,20",
    ties: Annotated[
        str, typer.Option(help="Who wins equal scores: conservative, standard or median.")
    ] = "conservative",
    user: SessionColumn = "SessionId",
    item: ItemColumn = "ItemId",
    time: TimeColumn = None,
    as_json: AsJson = False,
) -> None:
    """Recall and MRR, with standard errors, of every next click among all items."""
    from typing import cast

    from nnlib import metrics
    from nnlib.metrics.ranking import Ties, check_ties
    from nnlib.models import load_model

    try:
        cuts = [int(cut) for cut in k.split(",")]
    except ValueError:
        raise Stop(f"--k {k}: whole numbers with commas between them, as in 1,5,10,20") from None
    check_ties(ties)
    result = metrics.evaluate(
        load_model(model), read_log(log, user, item, time), cuts, cast(Ties, ties)
    )
    if as_json:
        print_json(result.to_dict())
    else:
        print(result)
