"""The command `nnlib`: demo, train, evaluate, recommend, gradcheck, doctor."""

from nnlib.cli.app import main

__all__ = ["main"]
