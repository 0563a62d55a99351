"""Files of named arrays: safetensors with a JSON header, written whole or not at all."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnlib.array import Array, to_host


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends without an error.

    Raises
        OSError: the folder does not exist or cannot be written to.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_arrays(path: str | Path, arrays: Mapping[str, Array], header: Mapping[str, Any]) -> None:
    """Write arrays and a JSON header as one safetensors file."""
    host = {name: np.asarray(to_host(array), order="C") for name, array in arrays.items()}
    text = json.dumps({**header, "digest": _digest(header, host)})
    write_safetensors(path, host, "nnlib", text)


def read_arrays(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `write_arrays` wrote, as (arrays, header).

    Raises
        FileNotFoundError: there is no such file.
        ValueError: it is no safetensors file, is damaged, or was not written by nnlib.
    """
    arrays, metadata = read_safetensors(path)
    try:
        header = json.loads(metadata["nnlib"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: a safetensors file that nnlib did not write") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path}: a safetensors file that nnlib did not write")
    if header.pop("digest", None) != _digest(header, arrays):
        raise ValueError(f"{path}: damaged, its contents do not match their checksum")
    return arrays, header


def write_safetensors(path: str | Path, arrays: Mapping[str, Array], key: str, text: str) -> None:
    """Write arrays and one entry of metadata, for anybody to read."""
    from safetensors.numpy import save_file

    host = {name: np.asarray(to_host(array), order="C") for name, array in arrays.items()}
    with replacing(path) as temporary:
        # One entry only: safetensors writes several in random order, and files would differ.
        save_file(host, temporary, metadata={key: text})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def read_safetensors(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays and metadata of a safetensors file, whoever wrote it.

    Raises
        FileNotFoundError: there is no such file.
        ValueError: it is no safetensors file, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if Path(path).is_dir():
        raise FileNotFoundError(f"{path} is a folder: give the file inside it")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: not a safetensors file, which models are saved as, or a damaged one ({error})"
        ) from error
    return arrays, metadata


def _digest(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """A checksum of everything in a file: safetensors itself notices no flipped bit."""
    digest = hashlib.blake2b(json.dumps(header).encode(), digest_size=8)
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()
