"""What all tests share: where real data is, and reproducible hypothesis runs."""

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("nnlib", deadline=None, derandomize=True, max_examples=30)
hypothesis.settings.load_profile("nnlib")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: $NNLIB_DATA, or ../shared/data beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NNLIB_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real data here: set NNLIB_DATA to the folder that holds rsc15-100k")
    return folder
