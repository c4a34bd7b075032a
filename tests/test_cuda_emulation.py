"""The CUDA kernels, run on the CPU by tests/cuda/emulate.h: NumPy's bits, without a GPU."""

import numpy as np
import pytest
from test_near_zero import tiny_rows
from test_reproducibility import assert_same_bits, hard_matrix, layouts

import stablesoft
from cases import rows
from emulation import EMULATED, OPERATIONS, aligned, compiled, run_plan, tiled, values
from stablesoft import _cuda, _cuda_kernels

pytestmark = EMULATED


@pytest.fixture(scope="session")
def doubtful(tmp_path_factory):
    """Kernels that trust no sum, so that every row is summed exactly."""
    names = _cuda_kernels.kernels()
    names = [name for name in names if name.startswith(("softmax_float", "logsumexp")) and "float16" not in name]
    return compiled(tmp_path_factory.mktemp("doubtful"), names, "-DSS_DOUBT=0x1p40")


def run(library, operation, x, axis, y=None, wanted="", slow_doubles=False):
    """The operation over one axis or several, as _cupy.py launches it; `wanted` is part of the names of the kernels."""
    axes = tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))
    reduces = operation in _cuda_kernels.REDUCTIONS
    if y is None:
        y = aligned([length for i, length in enumerate(x.shape) if not (reduces and i in axes)], x.dtype)
    steps = iter(y.strides)
    steps_y = tuple(0 if reduces and i in axes else next(steps) for i in range(x.ndim))
    starts_right = x.ctypes.data % 16 == 0 and y.ctypes.data % 16 == 0
    plan = _cuda.plan(operation, x.dtype.name, x.shape, axes, x.strides, steps_y, starts_right, slow_doubles)
    run_plan(library, plan, (x, y, np.zeros(plan.scratch)), wanted)
    return y


def expected(operation, x, axis):
    return getattr(stablesoft, operation)(x, axis=axis)


@OPERATIONS
def test_named_rows(emulation, operation, dtype):
    for name, row in rows(dtype).items():
        x = aligned((3, row.size), dtype)
        x[:] = row
        x[1] = row[::-1]
        assert_same_bits(run(emulation, operation, x, 1), expected(operation, x, 1), name)


@OPERATIONS
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_lengths(emulation, operation, kind):
    """Every length around the borders of the kernels, with and without 16-byte loads."""
    random = np.random.default_rng(3)
    for n in (1, 2, 3, 8, 16, 17, 31, 32, 33, 64, 65, 96, 127, 128, 129, 256, 257, 512, 513, 1000, 2048, 2049, 4096):
        for scale in (1.0, 30.0):
            x = aligned((5, n), kind)
            x[...] = random.normal(0, scale, x.shape)
            assert_same_bits(run(emulation, operation, x, 1), expected(operation, x, 1), f"n={n}, scale {scale}")


@OPERATIONS
@pytest.mark.parametrize(("n", "device", "wanted"), [(500, 1, "rows"), (1025, 1, "long"), (5000, 48, "long_teams")])
@pytest.mark.usefixtures("small_blocks")
def test_long_rows(emulation, operation, dtype, n, device, wanted, monkeypatch):
    """A block to a row, and rows that several blocks share; `device` is how many multiprocessors there are."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    x = tiled(dtype, 90, n)
    assert_same_bits(run(emulation, operation, x, 1, wanted=wanted), expected(operation, x, 1), wanted)
    odd = aligned((len(x), n + 1), dtype)
    odd[:, 1:] = x
    assert_same_bits(run(emulation, operation, odd[:, 1:], 1), expected(operation, x, 1), f"{wanted}, unaligned")


@OPERATIONS
@pytest.mark.parametrize(("n", "wanted"), [(2, "columns"), (21, "columns"), (70, "columns"), (1100, "columns"),
                                           (2500, "columns_teams")])  # fmt: skip
@pytest.mark.usefixtures("small_blocks")
def test_columns(emulation, operation, dtype, n, wanted):
    x = tiled(dtype, 90, n)
    columns = aligned((n, len(x)), dtype)
    columns[...] = x.T
    got = run(emulation, operation, columns, 0, wanted=wanted)
    assert_same_bits(got if operation in _cuda_kernels.REDUCTIONS else got.T, expected(operation, x, 1), n)


def test_real_blocks(emulation, dtype, monkeypatch):
    """The sizes of a device's blocks, once: a long row in parts, and tall columns."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", 8)
    random = np.random.default_rng(8)
    for shape, axis in (((1, 100_000), 1), ((20_000, 40), 0)):
        x = random.normal(0, 5, shape).astype(dtype)
        for operation in ("softmax", "logsumexp"):
            assert_same_bits(run(emulation, operation, x, axis), expected(operation, x, axis), shape)


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
@pytest.mark.usefixtures("small_blocks")
def test_in_place(emulation, operation, dtype):
    """The result may be written over the input, whatever the kernel reads again."""
    for x, axis in ((tiled(dtype, 90, 300), 1), (tiled(dtype, 90, 300), 0), (tiled(dtype, 90, 3000), 1)):
        result = expected(operation, x, axis)
        assert_same_bits(run(emulation, operation, x, axis, y=x), result, x.shape)


def check_layouts(emulation, operation, x, **options):
    for name, array, axis in layouts(x):
        if name in ("byte-swapped", "unaligned"):
            continue  # CuPy has no such arrays
        got = run(emulation, operation, array, axis, **options)
        if operation not in _cuda_kernels.REDUCTIONS:
            got = np.moveaxis(got, axis, 1)
        assert_same_bits(got, expected(operation, x, 1), name)


@OPERATIONS
@pytest.mark.parametrize("n", [5, 33, 700])
def test_layouts(emulation, operation, dtype, n):
    check_layouts(emulation, operation, hard_matrix(dtype, 37, n))


@OPERATIONS
@pytest.mark.parametrize("axis", [0, 1, 2, 3, (0, 2), (1, 3), (0, 1, 2, 3), (2, 0, 1)])
def test_axes(emulation, operation, dtype, axis):
    random = np.random.default_rng(4)
    x = random.normal(0, 5, (6, 7, 5, 9)).astype(dtype)[:, ::-1, :, 1:8].transpose(2, 0, 3, 1)
    y = aligned(x.shape, dtype, "F") if operation not in _cuda_kernels.REDUCTIONS else None
    assert_same_bits(run(emulation, operation, x, axis, y), expected(operation, x, axis), axis)


def test_near_zero_everywhere(emulation, dtype):
    """Normalised log-probabilities: the ladder takes every row, in more than one round of its warps."""
    random = np.random.default_rng(6)
    z = random.normal(0, 2, (300, 40))
    x = aligned(z.shape, dtype)
    x[...] = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    assert_same_bits(run(emulation, "logsumexp", x, 1), expected("logsumexp", x, 1), "rows")


def test_next_to_zero(emulation, dtype):
    """The ladder adds e^x - 1 where an element is tiny: one beside others that make up for it, or all of them."""
    random = np.random.default_rng(7)
    confident = random.normal([[-22.0], [-30.0], [-80.0]], 0.5, (3, 70))
    confident[:, 41] = -np.exp(confident).sum(axis=1) + np.exp(confident[:, 41])
    every = [("logmeanexp", row) for _, n, row in tiny_rows(dtype) if n < 1000]
    for operation, row in (*every, *(("logsumexp", row) for row in confident)):
        x = aligned((3, row.size), dtype)
        x[:] = row
        x[1] = row[::-1]
        x[2, -1:] = -np.inf
        assert_same_bits(run(emulation, operation, x, 1), expected(operation, x, 1), f"{operation} {row[:3]}")


@OPERATIONS
def test_huge_peaks(emulation, operation, dtype):
    """Around the magnitude from which x - peak is reduced instead of x, on both sides of it."""
    for edge in (2.0**45, -(2.0**45)):
        near = np.array([edge], dtype)
        for toward in (-np.inf, np.inf):
            x = aligned((1, 40), dtype)
            x[:] = -np.inf
            x[0, :5] = near
            x[0, 1:3] = np.nextafter(near, np.array(toward, dtype))
            assert_same_bits(run(emulation, operation, x, 1), expected(operation, x, 1), (edge, toward))


@pytest.mark.parametrize("operation", ["softmax", "logsumexp"])
@pytest.mark.parametrize(("n", "device"), [(7, 1), (40, 1), (500, 1), (1025, 1), (3000, 48)])
@pytest.mark.parametrize(("dtype", "slow_doubles"), [("float32", False), ("float32", True), ("float64", False)])
@pytest.mark.usefixtures("small_blocks")
def test_exact_sums(doubtful, operation, dtype, n, device, slow_doubles, monkeypatch):
    """What the rounding test can not decide: one row in thousands otherwise."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    x = tiled(dtype, 90, n)
    got = run(doubtful, operation, x, 1, slow_doubles=slow_doubles)
    assert_same_bits(got, expected(operation, x, 1), "rows")
    columns = aligned((n, len(x)), dtype)
    columns[...] = x.T
    got = run(doubtful, operation, columns, 0, slow_doubles=slow_doubles)
    assert_same_bits(got if operation == "logsumexp" else got.T, expected(operation, x, 1), "columns")


def run_elementwise(library, name, arrays, y=None, slow_doubles=False):
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    arrays = [np.broadcast_to(x, shape) for x in arrays]
    y = aligned(shape, arrays[0].dtype) if y is None else y
    everything = (*arrays, y)
    starts_right = all(x.ctypes.data % 16 == 0 for x in everything)
    steps = tuple(x.strides for x in everything)
    plan = _cuda.plan_elementwise(name, y.dtype.name, shape, steps, starts_right, slow_doubles)
    run_plan(library, plan, (arrays[0], y, arrays[1] if len(arrays) > 1 else None))
    return y


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", _cuda_kernels.UNARY)
def test_unary(emulation, name, kind):
    for x in (values(kind, 4096), values(kind, 1001), values(kind, 3000).reshape(30, 100)[::-2, 3:50]):
        for argument in (x, -np.abs(x)):
            want = getattr(stablesoft, name)(argument)
            assert_same_bits(run_elementwise(emulation, name, [argument]), want, x.shape)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", _cuda_kernels.BINARY)
def test_binary(emulation, name, kind):
    a, b = values(kind, 2048), values(kind, 2048)[::-1]
    near = aligned((600,), kind)  # log-probabilities that nearly add up to 1, or nearly cancel
    near[:] = np.linspace(-3, -0.01, 600)
    partner = stablesoft.log1mexp(near) if name == "logaddexp" else near - stablesoft.softplus(near)
    for pair in ((a, b), (a[:1500], b[:1500]), (near, partner), (a[:40].reshape(40, 1), b[:30]), (a[:7], a[:1])):
        want = getattr(stablesoft, name)(*pair)
        assert_same_bits(run_elementwise(emulation, name, pair), want, [x.shape for x in pair])
