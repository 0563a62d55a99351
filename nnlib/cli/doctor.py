"""`nnlib doctor`: what this machine offers, and what holds it back."""

from importlib import metadata
from typing import Any

from nnlib.cli.terminal import AsJson, console, print_json

PACKAGES = ("numpy", "polars", "matplotlib", "safetensors", "typer", "rich")
OPTIONAL = ("numba", "scipy", "cupy-cuda12x", "cupy-cuda13x", "jupyter", "torch")


def doctor(as_json: AsJson = False) -> None:
    """Versions, BLAS kernel and threads, GPU found or why not, and what holds the machine back."""
    report = examine()
    if as_json:
        print_json(report)
        return
    from rich.markup import escape

    out = console()
    blas, gpu = report["blas"], report["gpu"]
    kernel = f", {blas['kernel']} kernels" if blas["kernel"] else ", kernels unknown"
    threads = f", threads: {blas['threads']}" if blas["threads"] else ""
    out.print(f"[bold]nnlib {report['nnlib']}[/] · Python {report['python']} · {report['system']}")
    packages = ", ".join(f"{name} {version}" for name, version in report["packages"].items())
    out.print(f"packages   {packages}", soft_wrap=True)
    out.print(f"processor  {report['cores']} core(s), {', '.join(report['simd']) or 'no SIMD'}")
    out.print(f"BLAS       {blas['name']} {blas['version']}{kernel}{threads}")
    out.print(f"           float32 products: {report['gflops']:.0f} GFLOP/s (768 × 768)")
    kernels = report["kernels"]["problem"] or "compiled by Numba"
    out.print(f"kernels    {escape(kernels)}", soft_wrap=True)
    out.print(f"GPU        {escape(gpu['name'] or 'none: ' + gpu['problem'])}", soft_wrap=True)
    for sentence in report["warnings"]:
        out.print(f"[yellow]warning[/]    {escape(sentence)}", soft_wrap=True)
    if not report["warnings"]:
        out.print("[green]nothing holds this machine back[/]")


def examine() -> dict[str, Any]:
    """Everything that `doctor` says, for machines."""
    import os
    import platform

    from nnlib import __version__
    from nnlib.array import gpu_problem
    from nnlib.cli.blas import cores, cpu_features, loaded_blas, obstacles, product_speed
    from nnlib.compiled import numba_problem

    blas, features, problem = loaded_blas(), cpu_features(), gpu_problem()
    return {
        "nnlib": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "packages": _versions(PACKAGES + OPTIONAL),
        "cores": cores(),
        "simd": features,
        "blas": vars(blas),
        "gflops": round(product_speed(), 1),
        "kernels": {"problem": numba_problem()},
        "gpu": {"name": None if problem else _gpu_name(), "problem": problem},
        "warnings": obstacles(os.environ, blas, features, cores()),
    }


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name in PACKAGES:
                found[name] = "missing"
    return found


def _gpu_name() -> str:
    """Name, memory and driver of the GPU that nnlib would use."""
    import sys

    runtime = sys.modules["cupy"].cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    memory = properties["totalGlobalMem"] / 2**30
    driver = runtime.driverGetVersion()
    name = properties["name"].decode()
    return f"{name}, {memory:.0f} GiB, CUDA driver {driver // 1000}.{driver % 1000 // 10}"
