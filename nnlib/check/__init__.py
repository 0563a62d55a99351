"""Checking gradients, for students and for the library's own tests.

`nnlib.check.cases` holds the conformance cases of the library; it is not imported from here.
"""

from nnlib.check.adjoint import check_adjoint
from nnlib.check.contract import check_contract
from nnlib.check.diagnose import diagnose
from nnlib.check.diagnosis import Diagnosis, Kind
from nnlib.check.gradients import assert_gradients, check_gradients
from nnlib.check.report import ArrayCheck, GradientReport

__all__ = [
    "ArrayCheck",
    "Diagnosis",
    "GradientReport",
    "Kind",
    "assert_gradients",
    "check_adjoint",
    "check_contract",
    "check_gradients",
    "diagnose",
]
