"""Figures of a lesson: shown in a notebook, saved on request, otherwise out of the way."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(name: str, figure: "Figure | None" = None) -> None:
    """Show a figure, by default pyplot's current one; the last line of a cell that draws.

    In a notebook it appears below the cell.  A script saves it as NAME.png in the folder
    $NNLIB_FIGURES, if that is set, and opens a window only if MPLBACKEND asks for one.

    Arguments
        name: of the file; unique in the lesson
    """
    import matplotlib.pyplot as plt

    current = figure is None
    drawn = plt.gcf() if figure is None else figure
    if folder := os.environ.get("NNLIB_FIGURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        drawn.savefig(Path(folder) / f"{_file_name(name)}.png", dpi=110, bbox_inches="tight")
    if in_notebook():
        from IPython.display import display

        display(drawn)
    elif current and os.environ.get("MPLBACKEND", "agg").lower() != "agg":
        plt.show()
    plt.close(drawn)


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    return "ipykernel" in sys.modules and "IPython" in sys.modules


def _file_name(name: str) -> str:
    """The name in lower case, with what a file name should not have replaced by "_"."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")
