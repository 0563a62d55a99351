"""The only forms in which data reaches a model."""

from nnlib.data.errors import DataError
from nnlib.data.histories import Histories
from nnlib.data.interactions import Interactions

__all__ = ["DataError", "Histories", "Interactions"]
