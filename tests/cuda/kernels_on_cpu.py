"""`cupy.RawModule` for the double: compiles a .cu file with a C++ compiler and runs it on the CPU.

As on the GPU, arguments are passed by their bytes.  Unlike there, each is compared with the
kernel's parameter first: kind and size of numbers, element type and contiguity of arrays.
"""

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cuda_tests_capture import run

HEADER = Path(__file__).with_name("on_cpu.h")
FOLDER = tempfile.TemporaryDirectory(prefix="nnlib-kernels-")
COMPILER = shutil.which("g++") or shutil.which("clang++")

launches: list[str] = []  # names of the kernels launched, in order


class RawModule:
    backwards = False  # whether blocks and threads take their turns in reverse order

    def __init__(self, code: str, options: tuple[str, ...] = ()) -> None:
        self.library = compiled(code, options)
        self.library.run_backwards(self.backwards)

    def get_function(self, name: str) -> "Function":
        return Function(self.library, name)


class Function:
    """A kernel:  function(grid, block, arguments)."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name, self.launch = name, getattr(library, f"launch_{name}")
        describe = getattr(library, f"parameters_{name}")
        describe.restype = ctypes.c_char_p
        self.parameters = describe().decode().split()

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], arguments: Any) -> None:
        assert len(grid) == len(block) == 1
        assert grid[0] >= 1
        assert 1 <= block[0] <= 1024
        assert block[0] % 32 == 0
        assert len(arguments) == len(self.parameters), f"{self.name}: {self.parameters}"
        values = [self._bytes(*pair) for pair in zip(arguments, self.parameters, strict=True)]
        addresses = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
        arrays = tuple(x._a for x in arguments if hasattr(x, "_a"))

        def work() -> None:
            launches.append(self.name)
            done = self.launch(grid[0], block[0], addresses), values
            assert done[0] == 0, f"{self.name}: threads part ways"

        run(work, written=arrays)

    def _bytes(self, x: Any, parameter: str) -> Any:
        """The 4 or 8 bytes that stand for `x` in a launch."""
        kind, size = parameter[-2], int(parameter[-1])
        if parameter[0] == "p" and isinstance(x, np.uint64):
            assert x == 0, "only the null pointer is a number"
            return np.array(x)
        assert hasattr(x, "dtype"), f"{self.name}: {x!r} for {parameter}"
        assert (x.dtype.kind, x.itemsize) == (kind, size), f"{self.name}: {x.dtype} {parameter}"
        if parameter[0] == "p":
            assert x.flags.c_contiguous, self.name
            return np.array(x._a.ctypes.data, np.uint64)
        assert isinstance(x, np.generic), f"{self.name}: an array for {parameter}"
        return np.array(x)


@cache
def compiled(code: str, options: tuple[str, ...]) -> ctypes.CDLL:
    names = re.findall(r'extern "C" __global__ void (\w+)', code)
    code += "".join(f"\nKERNEL({name})" for name in names)
    name = hashlib.blake2b((code + str(options)).encode(), digest_size=8).hexdigest()
    library = Path(FOLDER.name) / f"{name}.so"
    assert COMPILER is not None
    command = [COMPILER, "-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror",
               "-Wno-unused-function", "-Wno-sign-compare", *options, "-include", str(HEADER),
               "-x", "c++", "-", "-o", str(library)]  # fmt: skip
    subprocess.run(command, input=code, text=True, check=True, timeout=100)
    return ctypes.CDLL(str(library))
