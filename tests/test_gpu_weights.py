"""On a CUDA device: weights, signs, means over a mask, logcumsumexp."""

import numpy as np
import pytest
from test_cuda_weights import weights
from test_gpu import KINDS, assert_same_results, check_captured, lent, pytestmark  # noqa: F401

import stablesoft
from cases import rows
from emulation import tiled

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")


def check(function, x, axis, **options):
    with np.errstate(over="ignore"):
        want = function(x, axis, **options)
    assert_same_results(function(cupy.asarray(x), axis, **lent(options)), want, (x.shape, axis, list(options)))


def test_named_rows(dtype):
    random = np.random.default_rng(1)
    for row in rows(dtype).values():
        x = np.tile(row, (8, 1))
        check(stablesoft.logsumexp, x, 1, b=weights(dtype, x.shape), return_sign=True)
        check(stablesoft.logsumexp, x, 1, b=weights(dtype, x.shape))
        check(stablesoft.logsumexp, x, 1, return_sign=True)
        check(stablesoft.logmeanexp, x, 1, where=random.random(x.shape) < 0.6)


@KINDS
@pytest.mark.parametrize("n", [1, 2, 7, 33, 300, 1025, 20_000])
def test_hard_rows(kind, n):
    x = tiled(kind, 90, n)
    b, where = weights(kind, x.shape), np.random.default_rng(n).random(x.shape) < 0.5
    for array, mass, mask, axis in ((x, b, where, 1), (*(np.ascontiguousarray(one.T) for one in (x, b, where)), 0)):
        check(stablesoft.logsumexp, array, axis, b=mass, return_sign=True, where=mask)
        check(stablesoft.logsumexp, array, axis, b=np.abs(mass), keepdims=True)
        check(stablesoft.logsumexp, array, axis, return_sign=True, where=mask)
        check(stablesoft.logmeanexp, array, axis, where=mask)
        check(stablesoft.logmeanexp, array, None, where=mask)


def test_normal_form(dtype):
    """Weights of another type or shape, and numbers, reach the kernels in one type."""
    x = np.random.default_rng(2).normal(0, 3, (40, 50)).astype(dtype)
    for b in (np.arange(50), np.linspace(-1, 2, 50), np.ones((3, 40, 50), dtype), 2.0):
        check(stablesoft.logsumexp, x, -1, b=b, return_sign=True)


def test_near_zero(dtype):
    """Weights that nearly make a sum of 1, all of which the ladder takes, and means alike."""
    random = np.random.default_rng(6)
    x, b = random.normal(0, 2, (3000, 100)), random.uniform(0.1, 1, (3000, 100))
    b /= (b * np.exp(x)).sum(axis=1, keepdims=True)
    check(stablesoft.logsumexp, x.astype(dtype), 1, b=b.astype(dtype))
    where = random.random(x.shape) < 0.5
    mean = np.log((np.exp(x) * where).sum(axis=1, keepdims=True) / where.sum(axis=1, keepdims=True))
    check(stablesoft.logmeanexp, (x - mean).astype(dtype), 1, where=where)


def test_out(dtype):
    x = np.random.default_rng(7).normal(size=(60, 70)).astype(dtype)
    b, where = np.abs(x[::-1]).copy(), x > 0
    for function, options in ((stablesoft.logsumexp, {"b": b}), (stablesoft.logmeanexp, {"where": where})):
        want = function(x, 1, **options)
        out = cupy.empty((60, 2), dtype)[:, 1]
        assert function(cupy.asarray(x), 1, out=out, **lent(options)) is out
        assert_same_results(out, want, "out")
        shared = cupy.asarray(x)
        function(shared, 1, out=shared[:, 3], **lent(options))
        assert_same_results(shared[:, 3], want, "overlap")


@pytest.mark.parametrize("shape", [(64, 100), (8, 9000)])
def test_capture(dtype, shape):
    x = np.random.default_rng(10).normal(size=shape).astype(dtype)
    check_captured(stablesoft.logsumexp, x, axis=1, b=x[::-1].copy(), return_sign=True)
    check_captured(stablesoft.logmeanexp, x, axis=1, where=x[::-1] > 0)


@KINDS
@pytest.mark.parametrize("n", [1, 31, 33, 300, 5000])
def test_cumulative(kind, n):
    x = tiled(kind, 90, n)
    for options in ({}, {"reverse": True}, {"exclusive": True}, {"reverse": True, "exclusive": True}):
        check(stablesoft.logcumsumexp, x, 1, **options)
        check(stablesoft.logcumsumexp, x[:, :300], 0, **options)
        check(stablesoft.logcumsumexp, x[:, :50], None, **options)


def test_cumulative_near_zero(dtype):
    """Prefixes of normalised log-probabilities, the largest first: most of them are near 0."""
    z = np.random.default_rng(9).normal(0, 2, (60, 3000))
    x = np.sort(z - np.log(np.exp(z).sum(axis=1, keepdims=True)), axis=1)[:, ::-1].astype(dtype)
    check(stablesoft.logcumsumexp, x, 1)
    same = cupy.asarray(x)
    stablesoft.logcumsumexp(same, 1, out=same)
    assert_same_results(same, stablesoft.logcumsumexp(x, 1), "in place")
