"""`main`: the command line, and what becomes of warnings, errors and Ctrl-C on it."""

import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from nnlib import __version__
from nnlib.cli.demo import demo
from nnlib.cli.doctor import doctor
from nnlib.cli.evaluate import evaluate
from nnlib.cli.export import export
from nnlib.cli.gradcheck import gradcheck
from nnlib.cli.recommend import recommend
from nnlib.cli.reproduce import app as reproduce
from nnlib.cli.terminal import Stop, say
from nnlib.cli.train import train

BAD_PATHS = FileNotFoundError | FileExistsError | PermissionError | NotADirectoryError

app = typer.Typer(
    name="nnlib",
    help="Train, evaluate and use session-based recommenders; check gradients; see a demo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs are filled, and "[model]" is no colour
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, train, evaluate, recommend, export, gradcheck, doctor):
    app.command()(command)
app.add_typer(reproduce)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"nnlib {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit."),
    ] = False,
) -> None:
    pass


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 failed, 2 bad input, 130 interrupted.

    Whatever a user can cause is one sentence on standard error; only a bug of nnlib's own shows a
    traceback.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: say(f"warning: {message}")
        try:
            app(args)
        except SystemExit as stop:
            if stop.code == 130:
                say("interrupted")
            return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        except Exception as error:
            code = exit_code(error)
            if code is None:
                raise
            say(_sentence(error))
            return code
    return 0


def exit_code(error: Exception) -> int | None:
    """The exit code of an error whose message is meant for the user; None for a bug."""
    from nnlib.array import DeviceError
    from nnlib.models.epochs import DivergedError

    if isinstance(error, Stop):
        return error.code
    if isinstance(error, ValueError | DeviceError | BAD_PATHS):
        return 2
    return 1 if isinstance(error, DivergedError | OSError | MemoryError) else None


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory: a smaller model, batch or log would fit"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
