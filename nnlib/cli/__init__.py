"""The command `nnlib`: demo, train, evaluate, recommend, export, reproduce, gradcheck,
doctor."""

from nnlib.cli.app import main

__all__ = ["main"]
