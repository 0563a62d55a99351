"""Which BLAS kernels NumPy's products run on, with how many threads, and what holds them back.

OpenBLAS picks its kernels when it is loaded, by the processor or by OPENBLAS_CORETYPE, so only the
loaded library can say which: threadpoolctl asks it.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

AVX512_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids", "Zen4", "Zen5")
AVX512_FEATURES = ("X86_V4", "AVX512_SKX", "AVX512F")


@dataclass(frozen=True)
class Blas:
    """What could be found out; None where it could not."""

    name: str
    version: str
    kernel: str | None = None
    threads: int | None = None


def loaded_blas() -> Blas:
    """The BLAS of this process."""
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library["user_api"] == "blas":
            kernel, version = library.get("architecture"), library.get("version") or ""
            return Blas(library["internal_api"], version, kernel, library["num_threads"])
    config: Any = np.show_config(mode="dicts")
    build = config["Build Dependencies"]["blas"]
    return Blas(str(build.get("name", "unknown")), str(build.get("version", "")))


def cpu_features() -> list[str]:
    """The instruction sets that NumPy found beyond those it was built for."""
    config: Any = np.show_config(mode="dicts")
    return [str(feature) for feature in config.get("SIMD Extensions", {}).get("found", [])]


def cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def product_speed(n: int = 768, seconds: float = 0.3) -> float:
    """Float32 products of (n, n) matrices, in GFLOP/s: the best of a few."""
    a = np.random.default_rng(0).random((n, n), np.float32)
    a @ a
    best, end = np.inf, time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e9


def obstacles(
    environment: Mapping[str, str], blas: Blas, features: list[str], n_cores: int
) -> list[str]:
    """One sentence for each environment variable that holds this machine back."""
    found = []
    core_type = environment.get("OPENBLAS_CORETYPE")
    has_avx512 = any(feature in AVX512_FEATURES for feature in features)
    if core_type and has_avx512 and blas.kernel not in (None, *AVX512_KERNELS):
        found.append(
            f"OPENBLAS_CORETYPE={core_type} keeps OpenBLAS to its {blas.kernel} kernels, this "
            "processor has AVX-512: unset it, products may run up to twice as fast"
        )
    elif core_type:
        found.append(f"OPENBLAS_CORETYPE={core_type} overrides the choice that OpenBLAS makes")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        value = environment.get(name, "").strip()
        if value.isdigit() and int(value) > n_cores:
            found.append(
                f"{name}={value}, but this process has {n_cores} core(s): more threads than cores "
                "slow each other down"
            )
        elif value and not value.replace(",", "").isdigit():
            found.append(f"{name}={value} is not a number: it has no effect")
    if blas.threads and 1 < blas.threads <= n_cores:
        found.append(
            f"{blas.threads} BLAS threads: for layers of a few hundred units one is often much "
            "faster (OMP_NUM_THREADS=1)"
        )
    if disabled := environment.get("NPY_DISABLE_CPU_FEATURES"):
        found.append(
            f"NPY_DISABLE_CPU_FEATURES={disabled} turns off vector code in NumPy: unset it"
        )
    if environment.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        found.append("CUDA_VISIBLE_DEVICES hides every GPU: unset it to use one")
    return found
