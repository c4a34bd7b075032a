"""The CUDA kernels, run on the CPU by tests/cuda/emulate.h: NumPy's bits, without a GPU."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stablesoft
from cases import rows
from stablesoft import _cuda
from test_reproducibility import assert_same_bits, hard_matrix, layouts

COMPILER = shutil.which("g++")
EMULATION = Path(__file__).with_name("cuda")
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="no g++ to compile the emulation with"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulation needs Linux's ucontext"),
]
OPERATIONS = pytest.mark.parametrize("operation", _cuda.OPERATIONS)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Every kernel, compiled for the CPU."""
    folder = tmp_path_factory.mktemp("emulation")
    unit = folder / "kernels.cpp"
    known = _cuda.kernels()
    lines = [f"SS_KERNEL({name}, {threads}, {body})" for name, (threads, body) in known.items()]
    unit.write_text("\n".join(['#include "emulate.cpp"', *lines, ""]))
    flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-w", "-fPIC", "-shared", f"-I{_cuda.folder()}", f"-I{EMULATION}"]
    done = subprocess.run(
        [COMPILER, *flags, "-o", folder / "kernels.so", unit], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "kernels.so"))


def aligned(shape, dtype, order="C"):
    """An empty array that starts at a multiple of 16 bytes, as CuPy's do."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.zeros(size + 16, np.uint8)
    start = -buffer.ctypes.data % 16
    return buffer[start : start + size].view(dtype).reshape(shape, order=order)


def run(library, operation, x, axis, y=None, wanted=None):
    """The operation over one axis or several, as _cupy.py launches it; `wanted` is part of the names of the kernels."""
    axes = tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))
    reduces = operation in _cuda.REDUCTIONS
    if y is None:
        y = aligned([length for i, length in enumerate(x.shape) if not (reduces and i in axes)], x.dtype)
    steps = iter(y.strides)
    steps_y = tuple(0 if reduces and i in axes else next(steps) for i in range(x.ndim))
    starts_right = x.ctypes.data % 16 == 0 and y.ctypes.data % 16 == 0
    plan = _cuda.plan(operation, x.dtype.name, x.shape, axes, x.strides, steps_y, starts_right)
    parts = np.full(plan.parts, np.nan)
    for kernel, grid, block in plan.launches:
        assert wanted is None or wanted in kernel or kernel.endswith("ladder"), kernel
        assert block[0] * block[1] <= _cuda.kernels()[kernel][0]
        library.launch(
            getattr(library, kernel), *grid, *block, ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data),
            ctypes.c_void_p(parts.ctypes.data), ctypes.c_void_p(plan.geometry.ctypes.data),
        )  # fmt: skip
    return y


def expected(operation, x, axis):
    return getattr(stablesoft, operation)(x, axis=axis)


@OPERATIONS
def test_named_rows(library, operation, dtype):
    for name, row in rows(dtype).items():
        x = aligned((3, row.size), dtype)
        x[:] = row
        x[1] = row[::-1]
        assert_same_bits(run(library, operation, x, 1), expected(operation, x, 1), name)


@OPERATIONS
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_lengths(library, operation, kind):
    """Every length around the borders of the kernels, with and without 16-byte loads."""
    random = np.random.default_rng(3)
    for n in (1, 2, 3, 8, 16, 17, 31, 32, 33, 64, 65, 96, 127, 128, 129, 256, 257, 512, 513, 1000, 2048, 2049, 4096):
        for scale in (1.0, 30.0):
            x = aligned((5, n), kind)
            x[...] = random.normal(0, scale, x.shape)
            assert_same_bits(run(library, operation, x, 1), expected(operation, x, 1), f"n={n}, scale {scale}")
