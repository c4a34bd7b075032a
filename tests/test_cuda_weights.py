"""The CUDA kernels for weights of logsumexp and for means over what a mask leaves, run on the CPU by
tests/cuda/emulate.h: NumPy's bits.
"""

import numpy as np
import pytest
from test_near_zero import tiny_rows
from test_reproducibility import assert_same_bits

import stablesoft
from cases import rows
from emulation import EMULATED, aligned, run_plan, tiled
from stablesoft import _cuda, _cuda_options

pytestmark = EMULATED
KINDS = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])


def run(library, x, axis, b=None, where=None, signed=True, wanted=""):
    """logsumexp with weights as (result, sign or None), or logmeanexp as (result, None)."""
    axes = tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))
    kept = [length for i, length in enumerate(x.shape) if i not in axes]
    y, sign = aligned(kept, x.dtype), aligned(kept, x.dtype) if signed and b is not None else None
    steps = iter(y.strides)
    steps_y = tuple(0 if i in axes else next(steps) for i in range(x.ndim))
    b, mask = (None if one is None else np.broadcast_to(one, x.shape) for one in (b, where))
    steps = (None if one is None else one.strides for one in (b, mask))
    plan = _cuda_options.plan_taken(b is not None, x.dtype.name, x.shape, axes, x.strides, steps_y, *steps)
    run_plan(library, plan, (x, y, b, mask, sign, np.full(plan.scratch, np.nan)), wanted)
    return y, sign


def check_weighted(library, x, axis, b, what, where=None, **options):
    with np.errstate(over="ignore"):
        value, sign = stablesoft.logsumexp(x, axis, b, return_sign=True, where=where)
        got = run(library, x, axis, b, where, **options)
        assert_same_bits(got[0], np.asarray(value), what)
        assert_same_bits(got[1], np.asarray(sign), what)
        alone, _ = run(library, x, axis, b, where, signed=False, **options)
        assert_same_bits(alone, np.asarray(stablesoft.logsumexp(x, axis, b, where=where)), what)


def check_mean(library, x, axis, where, what, **options):
    with np.errstate(over="ignore"):
        want = stablesoft.logmeanexp(x, axis, where=where)
    assert_same_bits(run(library, x, axis, where=where, **options)[0], np.asarray(want), what)


def weights(kind, shape, seed=2):
    """Of one sign in even rows, of both in odd ones; some are 0 or special in some rows."""
    random = np.random.default_rng(seed)
    info = np.finfo(kind)
    b = random.uniform(0.01, 3, shape).astype(kind)
    b[1::2] *= random.choice([-1.0, 1.0], b[1::2].shape).astype(kind)
    b[::7] *= -1
    b[::3, ::4] = 0.0
    for place, value in enumerate((np.inf, np.nan, -np.inf, info.max, info.smallest_subnormal, info.smallest_normal)):
        b[5 + 11 * place :: 70, place % shape[1]] = value
    return b


def test_named_rows(emulation, dtype):
    random = np.random.default_rng(1)
    for name, row in rows(dtype).items():
        x = aligned((4, row.size), dtype)
        x[:] = row
        x[1] = row[::-1]
        check_weighted(emulation, x, 1, weights(dtype, x.shape), name)
        check_weighted(emulation, x, 1, np.ones(1, dtype), name)
        where = random.random(x.shape) < 0.6
        check_mean(emulation, x, 1, where, name)
        check_mean(emulation, x, 1, np.True_, name)
        check_weighted(emulation, x, 1, -weights(dtype, x.shape), name, where=where)


@KINDS
@pytest.mark.parametrize("n", [1, 2, 7, 33, 300])
def test_hard_rows(emulation, kind, n):
    """Rows, columns, and rows that are a block's."""
    x = tiled(kind, 90, n)
    random = np.random.default_rng(n)
    b = weights(kind, x.shape)
    columns, columns_b = aligned((n, 90), kind), aligned((n, 90), kind)
    columns[...], columns_b[...] = x.T, b.T
    for where in (None, random.random(x.shape) < 0.5, random.random(n) < 0.5, random.random((90, 1)) < 0.5):
        check_weighted(emulation, x, 1, b, n, where=where)
        turned = None if where is None else np.broadcast_to(where, x.shape).T
        wanted = "columns" if n > 1 else ""
        check_weighted(emulation, columns, 0, columns_b, n, where=turned, wanted=wanted)
        if where is not None:
            check_mean(emulation, x, 1, where, n)
            check_mean(emulation, columns, 0, turned, n, wanted=wanted)


@pytest.mark.parametrize("least", [4096, 64])
def test_long_rows(emulation, dtype, least, monkeypatch):
    """A block to a row, and rows that several blocks share."""
    monkeypatch.setattr(_cuda, "MOST_OF_A_WARP", 50)
    monkeypatch.setattr(_cuda, "MOST_THREADS", 64)
    monkeypatch.setattr(_cuda, "LEAST_SHARE", least)
    x = tiled(dtype, 60, 150)
    b, where = weights(dtype, x.shape), np.random.default_rng(3).random(x.shape) < 0.5
    for array, mass, mask, axis in ((x, b, where, 1), (x.T.copy(), b.T, where.T, 0)):
        wanted = "columns" if axis == 0 and least > 150 else "long"
        check_weighted(emulation, array, axis, mass, least, wanted=wanted)
        check_weighted(emulation, array, axis, mass, least, where=mask, wanted=wanted)
        check_mean(emulation, array, axis, mask, least, wanted=wanted)


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (1, 2), (0, 1, 2)])
def test_axes(emulation, dtype, axis):
    random = np.random.default_rng(4)
    x = random.normal(0, 5, (6, 7, 9)).astype(dtype)[:, ::-1, 1:8].transpose(2, 0, 1)
    b = random.normal(0, 1, (7, 7, 6)).astype(dtype).transpose(0, 2, 1)
    for where in (None, random.random((7, 6, 7)) < 0.5, random.random((6, 1)) < 0.5):
        check_weighted(emulation, x, axis, b, axis, where=where)
        check_weighted(emulation, x, axis, b[:, :1], axis, where=where)
        if where is not None:
            check_mean(emulation, x, axis, where, axis)


def test_near_zero(emulation, dtype):
    """Weights and terms that nearly add up to 1: the ladder's rows, most of them equal elements or mixtures."""
    random = np.random.default_rng(6)
    x, b = aligned((40, 70), dtype), aligned((40, 70), dtype)
    x[...] = random.normal(0, 2, x.shape)
    b[...] = random.uniform(0.1, 1, b.shape)
    b /= (b.astype("float64") * np.exp(x.astype("float64"))).sum(axis=1, keepdims=True).astype(dtype)
    x[30:] = 0.0
    b[30:] = 1 / 70
    b[35:] = 1 / 64
    b[35:, 64:] = 0
    x[38:] = random.choice([1e-9, -1e-12], (2, 70))
    check_weighted(emulation, x, 1, b, "weights")
    check_weighted(emulation, x, 1, -b, "negative weights")
    value = run(emulation, x, 1, b)[0]
    assert np.abs(value).max() < (0.5 if dtype == "float32" else 0.1)


def test_means_near_zero(emulation, dtype):
    for _, n, row in tiny_rows(dtype):
        if n < 1000:
            x = aligned((2, row.size + 2), dtype)
            x[:, 1:-1] = row
            x[:, ::row.size + 1] = np.nan
            where = ~np.isnan(x)
            check_mean(emulation, x, 1, where, row[:3])
            where[1, 1] = False
            check_mean(emulation, x, 1, where, row[:3])
    random = np.random.default_rng(8)
    z = random.normal(0, 2, (60, 40))
    x = aligned(z.shape, dtype)
    where = random.random(z.shape) < 0.7
    x[...] = z - np.log((np.exp(z) * where).sum(axis=1, keepdims=True) / where.sum(axis=1, keepdims=True))
    check_mean(emulation, x, 1, where, "normalised")


@pytest.mark.parametrize("least", [4096, 8])
def test_huge(emulation, dtype, least, monkeypatch):
    """Around the magnitude from which x - peak is reduced instead of x, with weights that reach as far as they can."""
    monkeypatch.setattr(_cuda, "LEAST_SHARE", least)
    info = np.finfo(dtype)
    for edge in (2.0**45, -(2.0**45), float(info.max), -float(info.max)):
        x = aligned((3, 40), dtype)
        x[:] = np.nextafter(np.array(edge, dtype), np.array(0, dtype))
        x[:, 1:3] = edge
        x[:, 5:9] = -info.max
        b = np.where(np.arange(40) % 3, info.max, info.smallest_subnormal).astype(dtype)
        check_weighted(emulation, x, 1, b, edge)
        check_weighted(emulation, x, 1, b * np.array([[1], [-1], [1]], dtype), edge)
        check_mean(emulation, x, 1, np.arange(40) % 4 > 0, edge)
