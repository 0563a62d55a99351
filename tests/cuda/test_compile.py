"""Every kernel compiles, for three generations of GPUs and both types; no GPU is needed for that.

NVRTC, which CuPy compiles with, is taken from the wheel `nvidia-cuda-nvrtc-cu12` if it is installed
(or whatever CuPy's extra `[ctk]` has brought along), otherwise nvcc from the PATH.
"""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from nnlib.cuda.kernel import __file__ as here
from nnlib.cuda.kernel import source

FILES = sorted(path.stem for path in Path(here).parent.glob("*.cu"))
ARCHITECTURES = (70, 75, 80, 90)  # of which a compiler may no longer or not yet know some
NVRTC_OK = 0


def nvrtc_library() -> Path | None:
    """libnvrtc of an installed wheel; its builtins lie beside it."""
    for package in ("nvidia.cuda_nvrtc", "nvidia.cu13"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for found in sorted(Path(folder).glob("lib/libnvrtc.so.*")):
                return found
    return None


def complaints(code: str, real: str, folder: Path) -> str:
    """What the compiler objects to; empty if it compiles for every architecture it knows."""
    if found := nvrtc_library():
        return with_nvrtc(ctypes.CDLL(str(found)), code, real)
    if nvcc := shutil.which("nvcc"):
        return with_nvcc(nvcc, code, real, folder)
    pytest.skip("neither the wheel nvidia-cuda-nvrtc-cu12 nor nvcc is installed")


def with_nvrtc(library: ctypes.CDLL, code: str, real: str) -> str:
    n = ctypes.c_int()
    assert library.nvrtcGetNumSupportedArchs(ctypes.byref(n)) == NVRTC_OK
    known = (ctypes.c_int * n.value)()
    assert library.nvrtcGetSupportedArchs(known) == NVRTC_OK
    assert set(ARCHITECTURES) & set(known)
    logs = (_with_nvrtc(library, code, real, a) for a in ARCHITECTURES if a in known)
    return "".join(logs)


def _with_nvrtc(library: ctypes.CDLL, code: str, real: str, architecture: int) -> str:
    options = [f"--gpu-architecture=sm_{architecture}", f"-DREAL={real}", "-std=c++17"]
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert not library.nvrtcCreateProgram(
        ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None
    )
    flags = [option.encode() for option in options]
    status = library.nvrtcCompileProgram(
        program, len(flags), (ctypes.c_char_p * len(flags))(*flags)
    )
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return "" if status == NVRTC_OK else log.value.decode() or f"status {status}"


def with_nvcc(nvcc: str, code: str, real: str, folder: Path) -> str:
    listed = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=True)
    known = [a for a in ARCHITECTURES if f"compute_{a}" in listed.stdout.split()]
    assert known
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in known]
    path = folder / "kernel.cu"
    path.write_text(code)
    command = [nvcc, "-fatbin", "-Werror=all-warnings", f"-DREAL={real}", *targets, str(path),
               "-o", str(folder / "out")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr + done.stdout if done.returncode else ""


@pytest.mark.slow
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("file", FILES)
def test_kernels_compile(file: str, real: str, tmp_path: Path) -> None:
    assert not (text := complaints(source(file), real, tmp_path)), text


def test_there_are_kernels_and_a_mistake_in_one_is_found(tmp_path: Path) -> None:
    assert {"adagrad", "gru_step", "row_losses", "rows"} <= set(FILES)
    wrong = source("adagrad").replace("int i =", "int k =", 1)
    assert 'identifier "i" is undefined' in complaints(wrong, "float", tmp_path)
