"""The CUDA kernels for a temperature, a floor and a mask, run on the CPU by tests/cuda/emulate.h: NumPy's bits."""

import numpy as np
import pytest
from test_reproducibility import assert_same_bits

import stablesoft
from cases import rows
from emulation import EMULATED, aligned, run_plan, tiled
from stablesoft import _cuda, _cuda_options

pytestmark = EMULATED
OPERATIONS = pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
OPTIONS = [{"temperature": 0.1}, {"temperature": 3.0}, {"temperature": 1e300}, {"temperature": 5e-324}]
FLOORS = [{"floor": 1e-20}, {"temperature": 2.5, "floor": 0.3}, {"floor": 1.0}]


def run(library, operation, x, axis, where=None, temperature=1.0, floor=None, y=None):
    axes = tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))
    y = aligned(x.shape, x.dtype) if y is None else y
    mask = None if where is None else np.broadcast_to(where, x.shape)
    steps = None if mask is None else mask.strides
    plan = _cuda_options.plan_options(operation, x.dtype.name, x.shape, axes, x.strides, y.strides, steps, temperature,
                                      floor or 0.0)  # fmt: skip
    run_plan(library, plan, (x, y, mask))
    return y


def check(library, operation, x, axis, what, **options):
    want = getattr(stablesoft, operation)(x, axis=axis, **options)
    assert_same_bits(run(library, operation, x, axis, **options), want, f"{what} {options}")


def options_of(operation):
    return OPTIONS if operation == "log_softmax" else OPTIONS + FLOORS


@OPERATIONS
def test_named_rows(emulation, operation, dtype):
    random = np.random.default_rng(1)
    for name, row in rows(dtype).items():
        x = aligned((3, row.size), dtype)
        x[:] = row
        x[1] = row[::-1]
        mask = random.random(x.shape) < 0.6
        for options in options_of(operation):
            check(emulation, operation, x, 1, name, **options)
            check(emulation, operation, x, 1, name, where=mask, **options)


@OPERATIONS
@pytest.mark.parametrize("n", [1, 7, 33, 150])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_hard_rows(emulation, operation, n, kind, monkeypatch):
    """A warp to a row, and of the longest a block."""
    monkeypatch.setattr(_cuda, "MOST_OF_A_WARP", 100)
    monkeypatch.setattr(_cuda, "MOST_THREADS", 64)
    x = tiled(kind, 60, n)
    random = np.random.default_rng(n)
    for options in options_of(operation)[::2]:
        for where in (None, random.random(x.shape) < 0.5, random.random(n) < 0.5, random.random((60, 1)) < 0.5):
            with np.errstate(over="ignore"):
                check(emulation, operation, x, 1, n, where=where, **options)
                check(emulation, operation, np.asfortranarray(x), 1, n, where=where, **options)


@OPERATIONS
@pytest.mark.parametrize("axis", [0, 1, (0, 2), (0, 1, 2)])
def test_axes(emulation, operation, dtype, axis):
    random = np.random.default_rng(4)
    x = random.normal(0, 5, (6, 7, 9)).astype(dtype)[:, ::-1, 1:8].transpose(2, 0, 1)
    for where in (None, random.random((7, 6, 7)) < 0.5, random.random((6, 1)) < 0.5):
        check(emulation, operation, x, axis, axis, where=where, temperature=0.7)


@OPERATIONS
@pytest.mark.parametrize(("outer", "n"), [(30, 300), (3, 1100)])
def test_in_place(emulation, operation, dtype, outer, n):
    """Also by a block as large as on a device."""
    x = tiled(dtype, outer, n)
    want = getattr(stablesoft, operation)(x, axis=1, temperature=0.3)
    assert_same_bits(run(emulation, operation, x, 1, temperature=0.3, y=x), want, operation)
