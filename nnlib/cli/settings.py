"""From the command line to a model and to files: every value is checked before any work begins."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from nnlib.cli.terminal import Stop

if TYPE_CHECKING:
    from nnlib.data import Interactions
    from nnlib.models.base import Recommender

SessionColumn = Annotated[
    str, typer.Option("--user", help="Column of the session, user or basket.")
]
ItemColumn = Annotated[str, typer.Option("--item", help="Column of the item.")]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time",
        help='Column of the time; "none": lines are in order. '
        '[default: "Time" if the file has it, else none]',
        show_default=False,
    ),
]
ValueColumn = Annotated[
    str | None, typer.Option("--value", help="Column of a rating or count, for models of ratings.")
]

DEFAULT_MODEL = "GRU4Rec"
DEFAULT_TIME = "Time"


def read_log(
    path: Path, user: str, item: str, time: str | None, value: str | None = None
) -> "Interactions":
    """A log from a TSV file; `time` and `value` as on the command line."""
    from nnlib.data import Interactions
    from nnlib.data.delimited import first_line

    if time is None:
        names = first_line(path).rstrip("\r").split("\t")
        time = DEFAULT_TIME if DEFAULT_TIME in names and DEFAULT_TIME not in (user, item) else None
    elif time == "none":
        time = None
    return Interactions.from_tsv(path, user=user, item=item, time=time, value=value)


def read_metadata(path: Path, item: str) -> dict[Any, Any]:
    """What kind of item each is: a TSV file with the item column and one more."""
    from nnlib.data import Interactions
    from nnlib.data.delimited import first_line

    others = [name for name in first_line(path).rstrip("\r").split("\t") if name != item]
    if len(others) != 1:
        raise Stop(
            f"{path}: metadata is the column {item!r} and one other, not {len(others)} others"
        )
    pairs = Interactions.from_tsv(path, user=others[0], item=item, time=None)
    kinds, items = pairs.user_ids[pairs.user].tolist(), pairs.item_ids[pairs.item].tolist()
    found: dict[Any, Any] = {}
    for raw, kind in zip(items, kinds, strict=True):
        if found.setdefault(raw, kind) != kind:
            raise Stop(
                f"{path}: item {raw!r} is both {found[raw]!r} and {kind!r}: keep one of them"
            )
    return found


def read_config(path: Path) -> tuple[str | None, dict[str, Any]]:
    """(model name or None, settings) of a TOML file: a table [model], or the same keys without it.

    [model]
    name = "GRU4Rec"
    hidden = [100]
    loss = "cross-entropy"
    """
    if path.is_dir():
        raise Stop(f"{path} is a folder: give the file inside it")
    if not path.is_file():
        raise Stop(f"{path}: no such configuration file")
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except ValueError as error:  # not TOML, or not UTF-8
        raise Stop(f"{path}: not a TOML file ({error})") from error
    if isinstance(data.get("model"), dict):
        extra = sorted(data.keys() - {"model"})
        if extra:
            raise Stop(f"{path}: {extra[0]!r} stands outside [model]: move it there")
        data = data["model"]
    name = data.pop("name", None)
    if name is not None and not isinstance(name, str):
        raise Stop(f"{path}: name = {name!r} must be the name of a model in quotes")
    return name, data


def parse_assignments(texts: list[str]) -> dict[str, Any]:
    """The settings of `--set name=value` options; a value is written as in TOML, or a bare word."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise Stop(f"--set {text}: write it as name=value, as in --set dropout_hidden=0.2")
        if name in settings:
            raise Stop(f"--set {name} is given twice: keep one of them")
        try:
            settings[name] = tomllib.loads(f"value = {value}")["value"]
        except ValueError:
            settings[name] = value.strip()
    return settings


def choose_model(given: str | None, configured: str | None) -> "type[Recommender]":
    """The class named by `--model` or by the configuration, GRU4Rec by default."""
    from nnlib.models import MODELS

    if given and configured and given != configured:
        raise Stop(f"--model {given}, but the configuration says {configured!r}: drop one of them")
    name = next(name for name in (given, configured, DEFAULT_MODEL) if name is not None)
    by_any_case = {known.lower(): model for known, model in MODELS.items()}
    if name.lower() not in by_any_case:
        raise Stop(f"there is no model {name!r}{_nearest(name, MODELS)}")
    return by_any_case[name.lower()]


def build_model(
    cls: "type[Recommender]", settings: Mapping[str, Any], where: Mapping[str, str]
) -> "Recommender":
    """A model of class `cls`, its settings checked by name and type here, by range there.

    Arguments
        where: for each setting, what the user wrote it in ("--lr", "gru.toml"), for messages
    """
    hints = get_type_hints(cls)
    valid = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    converted = {}
    for name, value in settings.items():
        if name not in valid:
            raise Stop(
                f"{where[name]}: {cls.__name__} has no setting {name!r}{_nearest(name, valid)}"
            )
        try:
            converted[name] = convert(value, hints[name])
        except TypeError:
            raise Stop(
                f"{where[name]}: {name} = {value!r} must be {describe(hints[name])}"
            ) from None
    return cls(**converted)


def convert(value: Any, hint: Any) -> Any:
    """`value`, read from TOML, as the type `hint` asks for.

    Raises
        TypeError: it is of another type.
    """
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if NoneType in options and value in (None, "none"):  # TOML has no word for it
            return None
        for option in options:
            try:
                return convert(value, option)
            except TypeError:
                continue
    elif origin is Literal:
        if value in options or (isinstance(value, str) and isinstance(options[0], str)):
            return value  # the model knows best what to say about a wrong word
    elif origin is tuple:
        if isinstance(value, list):
            return tuple(convert(part, options[0]) for part in value)
    elif hint is float:
        if type(value) in (int, float):
            return float(value)
    elif type(value) is hint:
        return value
    raise TypeError


def describe(hint: Any) -> str:
    """A type in words: "a number", "a list of whole numbers"."""
    origin, options = get_origin(hint), get_args(hint)
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if origin in (Union, UnionType):
        return " or ".join(describe(option) for option in options)
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in options)
    if origin is tuple:
        return f"a list, as in [100], each {describe(options[0])}"
    return '"none"' if hint is NoneType else words.get(hint, str(hint))


def check_output(out: Path, inputs: Mapping[str, Path | None]) -> None:
    """Raise unless a model can be written to `out` without losing anything else.

    Arguments
        inputs: other files of the command by the name of their option
    """
    check_folder(out.parent)
    if out.is_dir():
        raise Stop(f"--out {out} is a folder: give a file in it")
    for name, path in inputs.items():
        if path is not None and path.exists() and out.exists() and out.samefile(path):
            raise Stop(f"--out {out} is also {name}: give another name")
    if out.exists() and not _is_nnlib_file(out):
        raise Stop(f"--out {out} exists and is no model of nnlib: give another name or move it")


def check_folder(folder: Path) -> None:
    """Raise unless files can be written in `folder`."""
    if not folder.is_dir():
        raise Stop(f"the folder {folder} does not exist: create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Stop(f"the folder {folder} cannot be written to: choose another")


def _is_nnlib_file(path: Path) -> bool:
    from nnlib.storage import read_arrays

    try:
        read_arrays(path)
    except (ValueError, OSError):
        return False
    return True


def _nearest(name: str, valid: Any) -> str:
    """What may have been meant."""
    by_any_case = {known.lower(): known for known in valid}
    near = difflib.get_close_matches(name.lower(), by_any_case, n=1)
    if near:
        return f": did you mean {by_any_case[near[0]]!r}?"
    return f": choose among {', '.join(valid) or 'none'}"
