"""The CUDA kernels for devices on which doubles are slow, run on the CPU: the same bits, in pairs of floats."""

import functools

import numpy as np
import pytest
from test_cuda_emulation import check_layouts, expected, run
from test_cuda_losses import check
from test_reproducibility import assert_same_bits, hard_matrix

from cases import rows
from emulation import EMULATED, OPERATIONS, aligned, tiled
from stablesoft import _cuda, _cuda_kernels, _cuda_losses

pytestmark = EMULATED
KINDS = pytest.mark.parametrize("kind", _cuda_kernels.IN_FLOATS)
run = functools.partial(run, slow_doubles=True)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Rows count as long sooner."""
    monkeypatch.setattr(_cuda, "MOST_THREADS", 64)
    monkeypatch.setattr(_cuda, "LEAST_SHARE", 256)


@OPERATIONS
@KINDS
def test_named_rows(emulation, operation, kind):
    for name, row in rows("float32").items():
        x = of_kind(kind, np.stack([row, row[::-1], row]))
        assert_same_bits(run(emulation, operation, x, 1), expected(operation, x, 1), name)


# From one element that outshines all others to the ends of the range in which floats are enough, and beyond.
@OPERATIONS
@KINDS
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 100.0, 3000.0, 16000.0])
def test_scales(emulation, operation, kind, scale):
    random = np.random.default_rng(9)
    for n in (1, 2, 7, 32, 33, 128, 250, 256, 500, 1000, 1025, 2500):
        x = of_kind(kind, random.normal(0, scale, (40, n)) + random.normal(0, scale, (40, 1)))
        assert_same_bits(run(emulation, operation, x, 1), expected(operation, x, 1), n)
        got = run(emulation, operation, of_kind(kind, x.T), 0)
        got = got if operation in _cuda_kernels.REDUCTIONS else got.T
        assert_same_bits(got, expected(operation, x, 1), f"{n}, columns")


def of_kind(kind, x):
    """x, which may overflow, at a multiple of 16 bytes."""
    y = aligned(x.shape, kind)
    with np.errstate(over="ignore"):
        y[...] = x
    return y


def masked(kind):
    """Rows with elements far below the others, or beyond what floats take, in every place of peak and second."""
    random = np.random.default_rng(10)
    x = of_kind(kind, random.normal(0, 2, (90, 1100)))
    # The borders of `suits` and `in_range`, the least float16, and what masks are made of.
    far = [-16384.0, -16500.0, -32768.0, -32880.0, -33000.0, -65504.0, -np.inf, 16384.0, 16400.0, 65504.0]
    far += [np.nan, np.inf] if kind == "float16" else [-1e9, -3.4e38, 1e9, 3.4e38, np.nan, np.inf]
    for i, value in enumerate(np.resize(far, 84)):
        x[i, random.random(1100) < (0.001, 0.5, 0.999, 1.0)[i // len(far) % 4]] = value
    x[84:, 1:] = -np.inf
    x[84:, 0] = -20000.0, -1.0, 0.0, 3.0, 17000.0, -40000.0
    return x


@OPERATIONS
@KINDS
@pytest.mark.parametrize(("n", "device", "wanted"), [(20, 1, "rows"), (500, 1, "rows"), (1040, 1, "long"),
                                                     (1100, 48, "long_teams")])  # fmt: skip
def test_masks(emulation, operation, kind, n, device, wanted, monkeypatch):
    """What is left to doubles: too large, too far below, or no number; rows, whole or in parts."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    for hard in (masked(kind)[:, :n], tiled("float32", 90, n)):
        x = of_kind(kind, hard)
        assert_same_bits(run(emulation, operation, x, 1, wanted=wanted), expected(operation, x, 1), wanted)
        odd = of_kind(kind, np.pad(hard, ((0, 0), (1, 0))))[:, 1:]
        assert_same_bits(run(emulation, operation, odd, 1), expected(operation, x, 1), f"{wanted}, unaligned")


@OPERATIONS
@KINDS
@pytest.mark.parametrize(("n", "wanted"), [(3, "columns"), (70, "columns"), (1100, "columns_teams")])
def test_masked_columns(emulation, operation, kind, n, wanted):
    for hard in (masked(kind)[:, :n], tiled("float32", 90, n)):
        columns = of_kind(kind, hard.T)
        got = run(emulation, operation, columns, 0, wanted=wanted)
        assert_same_bits(got, expected(operation, columns, 0), n)


@OPERATIONS
@pytest.mark.parametrize("n", [33, 700])
def test_layouts(emulation, operation, n):
    check_layouts(emulation, operation, hard_matrix("float32", 37, n), slow_doubles=True)


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
def test_in_place(emulation, operation):
    for x, axis in ((masked("float32")[:, :300], 1), (masked("float32")[:, :300], 0), (masked("float32"), 1)):
        result = expected(operation, x, axis)
        assert_same_bits(run(emulation, operation, x, axis, y=x), result, x.shape)


def test_subnormal_results(emulation):
    """Rounded once, to the last digit that there is, and to 0 below."""
    random = np.random.default_rng(11)
    x = of_kind("float32", -random.uniform(86, 105, (300, 120)))
    x[:, 7] = random.uniform(-1, 1, 300)
    want = expected("softmax", x, 1)
    tiny = np.finfo(np.float32).tiny
    assert np.mean((want > 0) & (want < tiny)) > 0.5
    assert_same_bits(run(emulation, "softmax", x, 1), want, "rows")


# ---- cross-entropy ----


@pytest.fixture
def losses(monkeypatch):
    planned = functools.partial(_cuda_losses.plan_cross_entropy, slow_doubles=True)
    monkeypatch.setattr(_cuda_losses, "plan_cross_entropy", planned)


@KINDS
@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 3000.0])
def test_losses(emulation, kind, scale):
    random = np.random.default_rng(12)
    for n in (1, 2, 7, 33, 128, 250, 256, 500, 1025, 2500):
        x = of_kind(kind, random.normal(0, scale, (40, n)) + random.normal(0, scale, (40, 1)))
        labels = random.integers(0, n, 40)
        check(emulation, x, labels, 1, n, "in_floats", reduction="none")
        check(emulation, of_kind(kind, x.T), labels, 0, f"{n}, columns", "in_floats")


@KINDS
@pytest.mark.usefixtures("losses")
@pytest.mark.parametrize(("n", "device"), [(20, 1), (500, 1), (1040, 1), (1100, 48)])
def test_masked_losses(emulation, kind, n, device, monkeypatch):
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    labels = np.random.default_rng(n).integers(0, n, 90)
    for hard in (masked(kind)[:, :n], tiled("float32", 90, n)):
        x = of_kind(kind, hard)
        for options in ({"reduction": "none"}, {"ignore_index": int(labels[0])}, {"z_loss": 0.1, "reduction": "sum"}):
            check(emulation, x, labels, 1, options, "in_floats", **options)
            check(emulation, of_kind(kind, hard.T), labels, 0, f"{options}, columns", **options)


@pytest.mark.usefixtures("losses")
def test_scaled_slopes(emulation):
    """Gradients that are subnormal or nearly so, and factors that are left to doubles."""
    random = np.random.default_rng(13)
    for n in (100, 1500):
        x = of_kind("float32", random.normal(0, 20, (50, n)))
        labels = random.integers(0, n, 50)
        for power in (-140, -101, -99, -60, 9, 11, 60):
            weight = np.full(n, 2.0**power, np.float32) * random.uniform(0.5, 1, n).astype(np.float32)
            check(emulation, x, labels, 1, power, "in_floats", reduction="sum", weight=weight)
