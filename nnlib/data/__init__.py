"""The only forms in which data reaches a model."""

from nnlib.data.histories import Histories
from nnlib.data.interactions import Interactions

__all__ = ["Histories", "Interactions"]
