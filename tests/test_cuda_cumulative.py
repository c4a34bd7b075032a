"""The CUDA kernels of logcumsumexp, run on the CPU by tests/cuda/emulate.h: NumPy's bits."""

import math

import numpy as np
import pytest
from test_cumulative import OPTIONS, WITH_OPTIONS
from test_reproducibility import assert_same_bits, hard_matrix

import stablesoft
from cases import NEAR_ONE_PAIRS, rows
from emulation import EMULATED, aligned, compiled, run_plan, tiled
from stablesoft import _cuda_kernels, _cuda_options

pytestmark = EMULATED


@pytest.fixture(scope="session")
def doubtful_prefixes(tmp_path_factory):
    """Kernels that trust no sum: every prefix is a row of its own."""
    names = [name for name in _cuda_kernels.kernels() if name.startswith("cumulative")]
    return compiled(tmp_path_factory.mktemp("doubtful_prefixes"), names, "-DSS_DOUBT=0x1p90")


def run(library, x, axis, reverse=False, exclusive=False):
    y = aligned(x.shape, x.dtype)
    ends = [array[(*[slice(None)] * axis, slice(None, None, -1 if reverse else 1))] for array in (x, y)]
    plan = _cuda_options.plan_cumulative(x.dtype.name, x.shape, axis, ends[0].strides, ends[1].strides, exclusive)
    run_plan(library, plan, (*ends, None))
    return y


def check(library, x, axis, what, **options):
    with np.errstate(over="ignore"):
        want = stablesoft.logcumsumexp(x, axis=axis, **options)
    assert_same_bits(run(library, x, axis, **options), want, f"{what} {options}")


def test_named_rows(emulation, dtype):
    for name, row in rows(dtype).items():
        x = aligned((2, row.size), dtype)
        x[:] = row
        x[1] = row[::-1]
        for options in OPTIONS if row.size < 300 else OPTIONS[:2]:
            check(emulation, x, 1, name, **options)


@WITH_OPTIONS
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 100, 300])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_hard_rows(emulation, kind, n, options):
    x = tiled(kind, 40, n)
    check(emulation, x, 1, n, **options)
    check(emulation, np.asfortranarray(x), 1, n, **options)
    if kind != "float16":
        check(emulation, hard_matrix(kind, 37, n), 0, n, **options)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes(emulation, dtype, axis):
    x = np.random.default_rng(4).normal(0, 5, (6, 7, 90)).astype(dtype)[:, ::-1, 1:80].transpose(2, 0, 1)
    check(emulation, x, axis, axis, reverse=True)


@pytest.mark.parametrize(
    "tail", [[-50.0] * 500, [-1e5] * 100, -np.arange(40.0, 400.0, 0.5)], ids=["some", "nothing", "less and less"]
)
def test_near_zero(emulation, dtype, tail):
    heads = [[-math.log(2)] * 2, [-1e-20, -46.0517], [-1e-9] + [-30.0] * 3]
    heads += [[float.fromhex(v) for v in pair] for _, *pair in NEAR_ONE_PAIRS]
    for head in heads:
        row = np.array([*head, *tail], dtype)
        check(emulation, row[None], 1, head)
    random = np.random.default_rng(5)
    z = random.normal(0, 2, (3, 400))
    z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
    for x in (z, np.sort(z), np.sort(z)[:, ::-1].copy()):
        check(emulation, x.astype(dtype), 1, "normalised")


def test_special_and_huge(emulation, dtype):
    random = np.random.default_rng(6)
    x = random.normal(0, 3, (9, 70)).astype(dtype)
    x[0, 40] = np.nan
    x[1, 33:35] = np.inf
    x[2, 5], x[2, 50] = np.inf, np.nan
    x[3, :45] = -np.inf
    x[4, :45] = -np.finfo(dtype).max
    for row, edge in enumerate((2.0**45, -(2.0**45), 2.0**52, -(2.0**60)), 5):
        x[row] = edge * (1 + 2.0**-20 * random.integers(-2, 3, 70))
        x[row, ::7] = -1.0
    check(emulation, x, 1, "special")
    check(emulation, x, 1, "special", reverse=True, exclusive=True)


def test_doubt(doubtful_prefixes, dtype):
    check(doubtful_prefixes, tiled(dtype, 40, 70), 1, "exact")
