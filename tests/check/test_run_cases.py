"""Choosing and running the conformance cases, as `nnlib gradcheck` does."""

import numpy as np
import pytest

from nnlib.check.cases import CASES, away, run_cases


def test_names_choose_cases() -> None:
    assert [r.name for r in run_cases(["Dropout"])] == ["Dropout", "Dropout p=0"]
    assert [r.name for r in run_cases(["Dropout p=0", "relu"])] == ["relu", "Dropout p=0"]
    assert [r.name for r in run_cases()] == [case.name for case in CASES]


def test_results_are_reports_with_a_name() -> None:
    [report] = run_cases(["tanh"])
    assert report.passed
    assert str(report).startswith("tanh: passed")
    [again] = run_cases(["tanh"])
    assert report == again  # the same seed, the same numbers
    [other] = run_cases(["tanh"], seed=1)
    assert report != other


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"no case 'Denes' \(did you mean 'Dense'\?\); there are: .*GRU"
    ):
        next(run_cases(["Denes"]))


def test_away_from_zero() -> None:
    x = np.array([-0.5, -1e-9, -0.0, 0.0, 0.004, 0.01, 2.0])
    moved = away(x)
    assert (np.abs(moved) >= 0.01).all()
    np.testing.assert_array_equal(np.signbit(moved), np.signbit(x))
    np.testing.assert_array_equal(moved[[0, 5, 6]], x[[0, 5, 6]])
