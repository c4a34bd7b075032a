"""The CUDA kernels of the losses, run on the CPU by tests/cuda/emulate.h: NumPy's bits, without a GPU."""

import functools

import numpy as np
import pytest
from test_reproducibility import assert_same_bits

import stablesoft
from cases import rows
from emulation import EMULATED, aligned, compiled, run_plan, tiled, values
from loss_cases import labels_of
from stablesoft import _cuda, _cuda_kernels, _cuda_losses

pytestmark = EMULATED
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
KINDS = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])


def run_loss(library, plan, x, y, *operands, wanted=""):
    """`operands`: labels or targets, weights, what pos_weight or probabilities are, value."""
    run_plan(library, plan, (x, y, np.full(plan.scratch, 0.0 if plan.cleared else np.nan), *operands), wanted)


def cross_entropy(library, x, labels, axis, *, weight=None, ignore_index=None, z_loss=0.0, reduction="mean", grad=True,
                  wanted=""):  # fmt: skip
    """Loss and gradient, as _cupy_losses.py launches them."""
    labels = np.ascontiguousarray(labels)
    y = aligned(x.shape, x.dtype) if grad else None
    kept = [length for i, length in enumerate(x.shape) if i != axis]
    value = aligned(kept if reduction == "none" else (), x.dtype)
    counted = reduction == "mean" and (weight is not None or ignore_index is not None)
    starts_right = x.ctypes.data % 16 == 0 and (y is None or y.ctypes.data % 16 == 0)
    plan = _cuda_losses.plan_cross_entropy(
        x.dtype.name, x.shape, axis, x.strides, None if y is None else y.strides, starts_right,
        ignores=ignore_index is not None, ignored=ignore_index or 0, weighs=True, z_loss=z_loss,
        label_bytes=labels.itemsize * (-1 if labels.dtype.kind == "u" else 1),
        weight_single=weight is not None and weight.itemsize == 4, summed=reduction != "none", counted=counted,
        divisor=float(labels.size) if reduction == "mean" else 1.0,
    )  # fmt: skip
    run_loss(library, plan, x, y, labels, weight, None, value, wanted=wanted)
    return value, y


def expected(x, labels, axis, *, grad=True, **options):
    """What NumPy gives."""
    return stablesoft.softmax_cross_entropy(x, labels, axis, return_grad=grad, **options)


def check(library, x, labels, axis, what, wanted="", **options):
    loss, gradient = cross_entropy(library, x, labels, axis, wanted=wanted, **options)
    want, slope = expected(x, labels, axis, **options)
    assert_same_bits(loss, np.asarray(want), f"{what}: loss")
    assert_same_bits(gradient, slope, f"{what}: gradient")
    alone, _ = cross_entropy(library, x, labels, axis, grad=False, wanted=wanted, **options)
    assert_same_bits(alone, np.asarray(want), f"{what}: loss alone")


def test_named_rows(emulation, dtype):
    for name, row in rows(dtype).items():
        places = list(labels_of(row).values())
        x = aligned((len(places), row.size), dtype)
        x[:] = row
        for reduction in ("none", "mean"):
            check(emulation, x, np.array(places), 1, name, reduction=reduction)
        check(emulation, np.ascontiguousarray(x.T), np.array(places), 0, name, reduction="none")


@KINDS
def test_lengths(emulation, kind):
    """Every length around the borders of the kernels, with and without 16-byte loads."""
    random = np.random.default_rng(3)
    for n in (1, 2, 3, 8, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 256, 257, 512, 513, 1000, 2048, 2049, 4096, 5000):
        for scale in (1.0, 30.0):
            x = aligned((5, n), kind)
            x[...] = random.normal(0, scale, x.shape)
            check(emulation, x, random.integers(0, n, 5), 1, f"n={n}, scale {scale}", reduction="none")


@pytest.mark.parametrize(("n", "device", "wanted"), [(7, 1, "rows"), (500, 1, "rows"), (1025, 1, "long"),
                                                     (5000, 1, "long"), (2500, 48, "long_teams")])  # fmt: skip
@REDUCTIONS
@pytest.mark.usefixtures("small_blocks")
def test_hard_rows(emulation, dtype, n, device, wanted, reduction, monkeypatch):
    """A block to a row, and rows that several blocks share; `device` is how many multiprocessors there are."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    x = tiled(dtype, 90, n)
    labels = np.random.default_rng(n).integers(0, n, 90)
    check(emulation, x, labels, 1, wanted, wanted, reduction=reduction)
    odd = aligned((90, n + 1), dtype)
    odd[:, 1:] = x
    check(emulation, odd[:, 1:], labels, 1, f"{wanted}, unaligned", wanted, reduction=reduction)
    check(emulation, x[::-1, ::-1], labels, 1, f"{wanted}, backwards", wanted, reduction=reduction)


@pytest.mark.parametrize(("n", "wanted"), [(2, "columns"), (21, "columns"), (70, "columns"), (1100, "columns"),
                                           (2500, "columns_teams")])  # fmt: skip
@pytest.mark.usefixtures("small_blocks")
def test_columns(emulation, dtype, n, wanted):
    x = aligned((n, 90), dtype)
    x[...] = tiled(dtype, 90, n).T
    labels = np.random.default_rng(n).integers(0, n, 90)
    check(emulation, x, labels, 0, "columns", wanted, ignore_index=1)
    images = x.reshape(n, 9, 10).transpose(1, 0, 2)
    check(emulation, images, labels.reshape(9, 10), 1, "images", reduction="sum")


@KINDS
def test_real_blocks(emulation, kind, monkeypatch):
    """The sizes of a device's blocks, once: few huge rows, which teams share, and tall columns."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", 8)
    random = np.random.default_rng(8)
    for shape, axis, wanted in (((2, 100_000), 1, "long_teams"), ((20_000, 40), 0, "columns_teams")):
        x = aligned(shape, kind)
        x[...] = random.normal(0, 5, shape)
        labels = random.integers(0, shape[axis], shape[1 - axis])
        for options in ({}, {"reduction": "none"}, {"ignore_index": int(labels[1])}):
            check(emulation, x, labels, axis, shape, wanted, **options)


@pytest.mark.usefixtures("small_blocks")
def test_parts_of_many_rows(emulation, dtype, monkeypatch):
    """Parts of rows lie behind the partial sums of losses."""
    monkeypatch.setattr(_cuda_losses, "MOST_ADDED", 20)
    x = aligned((2500, 90), dtype)
    x[...] = tiled(dtype, 90, 2500).T
    for options in ({}, {"reduction": "sum"}, {"ignore_index": 7, "z_loss": 0.1}):
        finite = np.nan_to_num(x, nan=1.0, posinf=2.0)
        check(emulation, finite, np.arange(90) * 9, 0, options, "columns_teams", **options)


@REDUCTIONS
@pytest.mark.parametrize(("n", "device"), [(21, 1), (1100, 1), (1100, 48)])
@pytest.mark.usefixtures("small_blocks")
def test_options(emulation, dtype, n, device, reduction, monkeypatch):
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    random = np.random.default_rng(n)
    x = tiled(dtype, 60, n)
    labels = random.integers(0, n, 60)
    weight = random.uniform(0, 3, n).astype(dtype)
    weight[random.integers(0, n, n // 4)] = 0.0
    for options in ({"weight": weight}, {"weight": weight, "ignore_index": int(labels[7])}, {"z_loss": 0.25},
                    {"ignore_index": int(labels[0])}, {"weight": weight, "z_loss": 1e-3, "ignore_index": -100},
                    {"weight": np.full(n, 1e30, dtype)}, {"weight": np.full(n, 2.0**-125, dtype)},
                    {"weight": np.zeros(n, dtype)}, {"weight": np.full(n, np.finfo(dtype).max, dtype)},
                    {"weight": np.full(n, np.finfo(dtype).smallest_subnormal, dtype)}, {"z_loss": 1e300},
                    {"weight": weight - 1.5}):  # fmt: skip
        check(emulation, x, labels, 1, list(options), reduction=reduction, **options)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_labels(emulation, kind):
    x = aligned((50, 100), "float32")
    x[...] = np.random.default_rng(1).normal(size=x.shape)
    labels = np.random.default_rng(2).integers(0, 100, 50).astype(kind)
    check(emulation, x, labels, 1, kind)
    check(emulation, x, labels, 1, kind, ignore_index=int(labels[3]))


@pytest.mark.parametrize(("n", "device"), [(21, 1), (5000, 1), (2500, 48)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.usefixtures("small_blocks")
def test_bad_labels(emulation, dtype, n, device, axis, monkeypatch):
    """NaN in their rows, and nowhere else; no mean over them is a number."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    x = aligned((40, n) if axis else (n, 40), dtype)
    x[...] = np.random.default_rng(3).normal(size=x.shape)
    labels = np.random.default_rng(4).integers(0, n, 40)
    good = labels.copy()
    labels[[3, 8, 9]] = n, -1, 2**62
    bad = labels != good
    for options in ({}, {"ignore_index": int(labels[0])}, {"weight": np.ones(n, dtype)}):
        loss, gradient = cross_entropy(emulation, x, labels, axis, reduction="none", **options)
        want, slope = expected(x, good, axis, reduction="none", **options)
        gradient, slope = (np.moveaxis(array, axis, 1) for array in (gradient, slope))
        assert np.isnan(loss[bad]).all()
        assert np.isnan(gradient[bad]).all()
        assert_same_bits(loss[~bad], want[~bad], "loss")
        assert_same_bits(gradient[~bad], slope[~bad], "gradient")
        for some in (labels, np.full(40, -7)):
            assert np.isnan(cross_entropy(emulation, x, some, axis, **options)[0])


@pytest.mark.parametrize("count", [100, 8193, 30_000])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_many_rows(emulation, dtype, count, reduction):
    """Sums by one block, and by several that leave partial sums."""
    x = aligned((count, 4), dtype)
    x[...] = np.random.default_rng(count).normal(0, 3, x.shape)
    x[: count // 2] *= 20.0
    labels = np.random.default_rng(5).integers(0, 4, count)
    check(emulation, x, labels, 1, reduction, reduction=reduction)
    check(emulation, x, labels, 1, reduction, reduction=reduction, ignore_index=2)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_sums(emulation, reduction):
    """Infinite, overflowing, tiny and cancelling sums."""
    n = 300
    huge, labels = aligned((n, 2), "float64"), np.zeros(n, int)
    huge[:, 1] = 1.5e308
    for change in (None, np.inf, -np.inf, np.nan):
        if change is not None:
            huge[7, 1] = change
        check(emulation, huge, labels, 1, change, reduction=reduction)
    huge[...] = [0.0, -720.0]
    check(emulation, huge, labels, 1, "tiny", reduction=reduction)
    huge[...] = [0.0, 1.0]
    check(emulation, huge, np.arange(n) % 2, 1, "signs", reduction=reduction, weight=np.array([1.0, -1.0]))
    for weight in ([1e-300, 5e-324], [1e300, 1e-20], [1.7e308, 1.7e308], [np.inf, 1.0], [np.nan, 1.0], [0.0, 0.0]):
        check(emulation, huge, np.arange(n) % 2, 1, weight, reduction=reduction, weight=np.array(weight))


@pytest.fixture(scope="session")
def doubtful(tmp_path_factory):
    """Kernels that trust no sum, so that every row and every sum of losses is done exactly."""
    names = [name for name in _cuda_kernels.kernels() if "cross_entropy" in name and "float16" not in name]
    return compiled(tmp_path_factory.mktemp("doubtful"), names, "-DSS_DOUBT=0x1p40")


@pytest.mark.parametrize(("n", "device"), [(7, 1), (500, 1), (1025, 1), (3000, 48)])
@pytest.mark.parametrize(("dtype", "slow_doubles"), [("float32", False), ("float32", True), ("float64", False)])
@pytest.mark.usefixtures("small_blocks")
def test_exact_sums(doubtful, dtype, slow_doubles, n, device, monkeypatch):
    planned = functools.partial(_cuda_losses.plan_cross_entropy, slow_doubles=slow_doubles)
    monkeypatch.setattr(_cuda_losses, "plan_cross_entropy", planned)
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    x = tiled(dtype, 90, n)
    finite = np.isfinite(np.asarray(stablesoft.logsumexp(x, axis=1)))
    labels = np.random.default_rng(n).integers(0, n, 90)
    for reduction in ("none", "mean"):
        check(doubtful, x, labels, 1, "rows", reduction=reduction)
    check(doubtful, np.ascontiguousarray(x[finite]), labels[finite], 1, "finite rows", ignore_index=3)
    check(doubtful, np.ascontiguousarray(x.T), labels, 0, "columns", reduction="none")


# ---- sigmoid ----


def sigmoid_cross_entropy(library, x, targets, *, weight=None, pos_weight=None, reduction="mean", grad=True):
    y = aligned(x.shape, x.dtype) if grad else None
    value = aligned(x.shape if reduction == "none" else (), x.dtype)
    weight, pos_weight = (None if one is None else np.broadcast_to(one, x.shape) for one in (weight, pos_weight))
    everything = (x, targets, weight, pos_weight, y, value if reduction == "none" else None)
    plan = _cuda_losses.plan_sigmoid(
        x.dtype.name, x.shape, [None if one is None else one.strides for one in everything],
        all(one is None or one.ctypes.data % 16 == 0 for one in everything), summed=reduction != "none",
        divisor=float(x.size) if reduction == "mean" else 1.0,
    )  # fmt: skip
    run_loss(library, plan, x, y, targets, weight, pos_weight, value)
    return value, y


def check_sigmoid(library, x, targets, what, **options):
    with np.errstate(over="ignore"):  # a sum beyond float16
        want, slope = stablesoft.sigmoid_cross_entropy(x, targets, return_grad=True, **options)
    loss, gradient = sigmoid_cross_entropy(library, x, targets, **options)
    assert_same_bits(loss, np.asarray(want), f"{what}: loss")
    assert_same_bits(gradient, slope, f"{what}: gradient")
    assert_same_bits(sigmoid_cross_entropy(library, x, targets, grad=False, **options)[0], np.asarray(want), what)


@KINDS
@REDUCTIONS
def test_sigmoid(emulation, kind, reduction):
    random = np.random.default_rng(9)
    for x in (values(kind, 4096), values(kind, 1001), values(kind, 3000).reshape(30, 100)[::-2, 3:50]):
        for targets in (random.integers(0, 2, x.shape), random.uniform(0, 1, x.shape)):
            t = aligned(x.shape, kind)
            t[...] = targets
            check_sigmoid(emulation, x, t, x.shape, reduction=reduction)
            for finite in (False, True):
                y = np.nan_to_num(x, nan=3.0, posinf=50.0, neginf=-70.0) if finite else x
                check_sigmoid(emulation, y, t, "weights", reduction=reduction,
                              weight=random.integers(0, 3, x.shape).astype(kind),
                              pos_weight=random.uniform(0, 3, x.shape[-1]).astype(kind))  # fmt: skip


def test_sigmoid_extremes(emulation, dtype):
    """Weights and targets that doubles cannot carry on the way."""
    random = np.random.default_rng(6)
    info = np.finfo(dtype)
    x, t = aligned((4096,), dtype), aligned((4096,), dtype)
    x[:] = random.normal(0, 400, x.shape)
    x[::9] = random.choice([np.nan, np.inf, -np.inf, 0.0, info.max, info.tiny], x[::9].shape)
    t[:] = random.choice([0.0, 1.0, 0.5, info.tiny, info.smallest_subnormal, -0.5, 2.0], x.shape)
    sizes = [0.0, 1.0, -1.0, info.tiny, info.smallest_subnormal, info.max, 1e30, 1e-30]
    for reduction in ("none", "sum"):
        for _ in range(3):
            weight, positive = (random.choice(sizes, x.shape).astype(dtype) for _ in range(2))
            check_sigmoid(emulation, x, t, "extremes", reduction=reduction, weight=weight, pos_weight=positive)


def test_sigmoid_exact_sums(doubtful, dtype):
    x, t = aligned((5000,), dtype), aligned((5000,), dtype)
    x[:] = np.random.default_rng(1).normal(0, 30, 5000)
    t[:] = np.random.default_rng(2).integers(0, 2, 5000)
    for reduction in ("sum", "mean"):
        check_sigmoid(doubtful, x, t, reduction, reduction=reduction)
        check_sigmoid(doubtful, x, t, reduction, reduction=reduction, weight=t + 1)
