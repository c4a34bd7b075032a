"""The CUDA kernels as functions of the CPU, compiled by g++ with tests/cuda/emulate.h, and inputs for them."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cases import rows
from stablesoft import _cuda_kernels

COMPILER = shutil.which("g++")
EMULATION = Path(__file__).with_name("cuda")
OPERATIONS = pytest.mark.parametrize("operation", _cuda_kernels.OPERATIONS)
EMULATED = [
    pytest.mark.skipif(COMPILER is None, reason="no g++ to compile the emulation with"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulation needs Linux's ucontext"),
]


def compiled(folder, names, *flags, unit="emulate.cpp"):
    """What a file of tests/cuda has, and the kernels named, as a library."""
    source, shared = folder / "kernels.cpp", folder / "kernels.so"
    known = _cuda_kernels.kernels()
    lines = [known[name].line(name) for name in names]
    source.write_text("\n".join([f'#include "{unit}"', *lines, ""]))
    # _FORTIFY_SOURCE takes a jump to another stack for an error.
    flags += ("-std=c++17", "-O1", "-U_FORTIFY_SOURCE", "-ffp-contract=off", "-w", "-fPIC", "-shared")
    command = [COMPILER, *flags, f"-I{_cuda_kernels.folder()}", f"-I{EMULATION}", "-o", shared, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(shared))


# Ends of the names of kernels that are launched before or after those of the rows.
AROUND = ("_ladder", "_anew", "_finish", "_count", "cross_entropy_sum")


def run_plan(library, plan, arrays, wanted=""):
    """All launches of a plan, with the arrays, or None, to which the kernels point; `wanted` is part of their names."""
    for one in plan.launches:
        assert wanted in one.kernel or one.kernel.endswith(AROUND), one.kernel
        launch(library, one.kernel, one.grid, one.block, one.together, (*arrays, *plan.taken_by(one)))


def launch(library, kernel, grid, block, together, arguments):
    """One launch; the arguments are arrays, or None, or addresses."""
    known = _cuda_kernels.kernels()[kernel]
    assert block[0] * block[1] <= known.threads, kernel
    kind = known.macro.removeprefix("SS").removesuffix("_KERNEL").lower()  # "", "_loss" and so on, as in emulate.cpp
    ctypes.c_int.in_dll(library, "together").value = together
    addresses = [one.ctypes.data if hasattr(one, "ctypes") else one for one in arguments]
    getattr(library, f"launch{kind}")(getattr(library, kernel), *grid, *block, *map(ctypes.c_void_p, addresses))


def aligned(shape, dtype, order="C"):
    """An empty array that starts at a multiple of 16 bytes, as CuPy's do."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.zeros(size + 16, np.uint8)
    start = -buffer.ctypes.data % 16
    return buffer[start : start + size].view(dtype).reshape(shape, order=order)


def tiled(dtype, outer, n):
    """Rows of n elements made of the named hard rows, special ones among them."""
    hard = [*rows(dtype).values(), [np.nan, 1.0], [np.inf, 1.0, np.inf], [-np.inf], [np.inf, np.nan], [3.0]]
    x = aligned((outer, n), dtype)
    for i in range(outer):
        x[i] = np.resize(np.asarray(hard[i % len(hard)], dtype), n)
    x[::5, 1:] = -np.inf  # one element alone
    return x


def values(kind, count):
    """Numbers of every scale and all special ones, at a multiple of 16 bytes."""
    random = np.random.default_rng(14)
    info = np.finfo(kind)
    special = [0.0, -0.0, 1.0, -1.0, 0.25, 0.5, np.inf, -np.inf, np.nan, info.max, -info.max, info.tiny, -info.tiny]
    x = aligned((count,), kind)
    with np.errstate(over="ignore"):
        x[:] = random.normal(size=count) * 10.0 ** random.integers(-8, 4, count)
    x[: len(special)] = special
    x[len(special) : count // 2] = random.uniform(0, 1, count // 2 - len(special))
    return x
