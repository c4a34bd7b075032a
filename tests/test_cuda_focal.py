"""The CUDA kernels of focal losses, run on the CPU by tests/cuda/emulate.h: NumPy's bits."""

import numpy as np
import pytest
from test_cuda_losses import KINDS, REDUCTIONS, run_loss
from test_reproducibility import assert_same_bits

import stablesoft
from cases import rows
from emulation import EMULATED, aligned, tiled, values
from loss_cases import labels_of
from stablesoft import _cuda, _cuda_kernels, _cuda_losses

pytestmark = EMULATED
GAMMAS = (0.5, 2.0, 3.7, 16.5)


def softmax(library, x, labels, axis, *, gamma=2.0, alpha=None, ignore_index=None, reduction="mean", grad=True):
    """Loss and gradient, as _cupy_losses.py launches them."""
    y = aligned(x.shape, x.dtype) if grad else None
    kept = [length for i, length in enumerate(x.shape) if i != axis]
    value = aligned(kept if reduction == "none" else (), x.dtype)
    wide = np.float64 if x.itemsize == 8 else np.float32
    weight = np.ascontiguousarray(alpha, wide) if np.ndim(alpha) else None
    starts_right = x.ctypes.data % 16 == 0 and (y is None or y.ctypes.data % 16 == 0)
    plan = _cuda_losses.plan_cross_entropy(
        x.dtype.name, x.shape, axis, x.strides, None if y is None else y.strides, starts_right, gamma=gamma,
        alpha=wide(1.0 if alpha is None or weight is not None else alpha), ignores=ignore_index is not None,
        ignored=ignore_index or 0, weighs=False, label_bytes=labels.itemsize, weight_single=wide is np.float32,
        summed=reduction != "none", counted=reduction == "mean" and ignore_index is not None,
        divisor=float(labels.size) if reduction == "mean" else 1.0,
    )  # fmt: skip
    run_loss(library, plan, x, y, np.ascontiguousarray(labels), weight, None, value)
    return value, y, [one.kernel for one in plan.launches]


def check(library, x, labels, axis, what, wanted="", **options):
    with np.errstate(over="ignore"):  # a sum beyond float16
        want, slope = stablesoft.softmax_focal_loss(x, labels, axis, return_grad=True, **options)
    loss, gradient, kernels = softmax(library, x, labels, axis, **options)
    what = f"{what} {kernels[0]} {options}"
    assert f"{_cuda_kernels.FOCAL}_{x.dtype}_{wanted}" in " ".join(kernels)
    assert_same_bits(loss, np.asarray(want), f"loss of {what}")
    assert_same_bits(gradient, slope, f"gradient of {what}")
    assert_same_bits(softmax(library, x, labels, axis, grad=False, **options)[0], np.asarray(want), f"{what}: alone")


def test_named_rows(emulation, dtype):
    for name, row in rows(dtype).items():
        places = np.array(list(labels_of(row).values()))
        x = aligned((places.size, row.size), dtype)
        x[:] = row
        for gamma in GAMMAS:
            check(emulation, x, places, 1, name, gamma=gamma, reduction="none")
        check(emulation, x, places, 1, name)
        check(emulation, np.ascontiguousarray(x.T), places, 0, name, reduction="none")


@KINDS
def test_lengths(emulation, kind):
    """Every length around the borders of the kernels, with and without 16-byte loads."""
    random = np.random.default_rng(3)
    for n in (1, 2, 3, 8, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 256, 257, 512, 513, 1000, 2048, 5000):
        for scale in (1.0, 10.0, 100.0):
            x = aligned((7, n), kind)
            x[...] = random.normal(0, scale, x.shape)
            check(emulation, x, random.integers(0, n, 7), 1, scale, reduction="none")


@pytest.mark.parametrize(("n", "device", "wanted"), [(7, 1, "rows"), (250, 1, "rows"), (600, 1, "long"),
                                                     (2500, 96, "long_teams")])  # fmt: skip
@REDUCTIONS
@pytest.mark.usefixtures("small_blocks")
def test_hard_rows(emulation, dtype, n, device, wanted, reduction, monkeypatch):
    """Groups of threads and blocks to a row, and rows that several blocks share."""
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", device)
    x = tiled(dtype, 90, n)
    labels = np.random.default_rng(n).integers(0, n, 90)
    for gamma in (2.0, 30.0):
        check(emulation, x, labels, 1, "rows", wanted, gamma=gamma, reduction=reduction)
    check(emulation, x[::-1, ::-1], labels, 1, "backwards", wanted, reduction=reduction)


@pytest.mark.parametrize(("n", "wanted"), [(2, "columns"), (21, "columns"), (1100, "columns"), (2500, "columns_teams")])
@pytest.mark.usefixtures("small_blocks")
def test_columns(emulation, dtype, n, wanted):
    x = aligned((n, 90), dtype)
    x[...] = tiled(dtype, 90, n).T
    labels = np.random.default_rng(n).integers(0, n, 90)
    check(emulation, x, labels, 0, "columns", wanted, ignore_index=1)
    images = x.reshape(n, 9, 10).transpose(1, 0, 2)
    check(emulation, images, labels.reshape(9, 10), 1, "images", reduction="sum", gamma=0.3)


@REDUCTIONS
@pytest.mark.parametrize("n", [21, 600])
def test_options(emulation, dtype, n, reduction):
    random = np.random.default_rng(n)
    x, labels = tiled(dtype, 24, n), random.integers(0, n, 24)
    info = np.finfo(dtype)
    alpha = random.uniform(0, 3, n).astype(dtype)
    alpha[random.integers(0, n, n // 4)] = 0.0
    for options in ({"alpha": alpha}, {"alpha": 0.25}, {"alpha": 0.0}, {"alpha": alpha, "ignore_index": int(labels[7])},
                    {"ignore_index": int(labels[0]), "alpha": 3}, {"alpha": np.full(n, info.max, dtype)},
                    {"alpha": np.full(n, info.smallest_subnormal, dtype)}, {"alpha": 1e30}, {"alpha": alpha - 1.5},
                    {"alpha": alpha, "gamma": 1e-300}, {"alpha": alpha, "gamma": 1e300},
                    {"gamma": 5e-324}):  # fmt: skip
        check(emulation, x, labels, 1, "options", reduction=reduction, **options)


@pytest.mark.parametrize("axis", [0, 1])
def test_bad_labels(emulation, dtype, axis):
    x = np.random.default_rng(3).normal(size=(40, 21) if axis else (21, 40)).astype(dtype)
    good = np.random.default_rng(4).integers(0, 21, 40)
    labels = good.copy()
    labels[[3, 8]] = 21, -1
    loss, gradient, _ = softmax(emulation, x, labels, axis, reduction="none")
    want, slope = stablesoft.softmax_focal_loss(x, good, axis, reduction="none", return_grad=True)
    gradient, slope = (np.moveaxis(array, axis, 1) for array in (gradient, slope))
    bad = labels != good
    assert np.isnan(loss[bad]).all()
    assert np.isnan(gradient[bad]).all()
    assert_same_bits(loss[~bad], want[~bad], "loss")
    assert_same_bits(gradient[~bad], slope[~bad], "gradient")


# ---- single logits ----


def sigmoid(library, x, t, *, gamma=2.0, alpha=None, reduction="mean", grad=True):
    y = aligned(x.shape, x.dtype) if grad else None
    value = aligned(x.shape if reduction == "none" else (), x.dtype)
    steps = [None if one is None else one.strides for one in (x, t, None, None, y)]
    plan = _cuda_losses.plan_sigmoid(
        x.dtype.name, x.shape, [*steps, value.strides if reduction == "none" else None], False, focal=True,
        gamma=gamma, alpha=np.nan if alpha is None else alpha, summed=reduction != "none",
        divisor=float(x.size) if reduction == "mean" else 1.0,
    )  # fmt: skip
    run_loss(library, plan, x, y, t, None, None, value)
    return value, y


def check_sigmoid(library, x, t, **options):
    with np.errstate(over="ignore"):  # a sum beyond float16
        want, slope = stablesoft.sigmoid_focal_loss(x, t, return_grad=True, **options)
    loss, gradient = sigmoid(library, x, t, **options)
    assert_same_bits(loss, np.asarray(want), f"loss {options}")
    assert_same_bits(gradient, slope, f"gradient {options}")
    assert_same_bits(sigmoid(library, x, t, grad=False, **options)[0], np.asarray(want), f"alone {options}")


SIGMOID_OPTIONS = ({}, {"alpha": 0.25}, {"gamma": 0.0}, {"gamma": 0.5, "alpha": 1.0}, {"gamma": 3.7, "alpha": 0.0},
                   {"gamma": 40.0}, {"gamma": 1e-300, "alpha": 1e-60})  # fmt: skip


@KINDS
@REDUCTIONS
def test_sigmoid(emulation, kind, reduction):
    random = np.random.default_rng(9)
    for x in (values(kind, 3000), values(kind, 1200).reshape(12, 100)[::-2, 3:50]):
        for targets in (random.integers(0, 2, x.shape), random.uniform(0, 1, x.shape)):
            t = targets.astype(kind)
            for options in SIGMOID_OPTIONS:
                check_sigmoid(emulation, x, t, reduction=reduction, **options)
            finite = np.nan_to_num(x, nan=3.0, posinf=50.0, neginf=-70.0)
            check_sigmoid(emulation, finite, t, reduction=reduction)


def test_sigmoid_extremes(emulation, dtype):
    """Where doubles lose digits on the way: logits far out, tiny targets, and those outside of [0, 1]."""
    random = np.random.default_rng(6)
    info = np.finfo(dtype)
    x = random.normal(0, 300, 2000).astype(dtype)
    x[::9] = random.choice([np.nan, np.inf, -np.inf, 0.0, info.max, info.tiny], x[::9].shape)
    t = random.choice([0.0, 1.0, 0.5, info.tiny, info.smallest_subnormal, -0.5, 2.0, np.nan], x.shape).astype(dtype)
    for options in SIGMOID_OPTIONS:
        for reduction in ("none", "sum"):
            check_sigmoid(emulation, x, t, reduction=reduction, **options)


def test_sigmoid_exact_sums(emulation):
    """Sums that the block which finishes adds exactly."""
    x = np.full(3000, 1e308)
    for small in (1e-308, 1.0, 1.7e308, -1e308):
        x[7::100] = small
        for reduction in ("sum", "mean"):
            check_sigmoid(emulation, x, np.zeros(3000), reduction=reduction)
