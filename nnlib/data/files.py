"""Files as bytes, plain or gzip, and one clear sentence for those that cannot be read."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from nnlib.data.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[IO[bytes]]:
    """The bytes of a file; gzip is recognised by how the file begins, not by its name.

    Raises
        FileNotFoundError: there is no such file.
        DataError: it is a folder or, while reading, a damaged gzip file.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder: give the file inside it")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}): fetch it again") from error
