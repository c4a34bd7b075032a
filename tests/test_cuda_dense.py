"""Softmax cross-entropy with label smoothing and with probabilities on CUDA, run on the CPU by tests/cuda/emulate.h."""

import numpy as np
import pytest
from test_cuda_losses import KINDS, run_loss
from test_reproducibility import assert_same_bits

import stablesoft
from cases import rows
from emulation import AROUND, EMULATED, aligned, compiled, tiled
from loss_cases import SOFTMAX, labels_of, probabilities_of
from stablesoft import _cuda, _cuda_dense, _cuda_kernels, _cuda_losses

pytestmark = EMULATED


def run(library, x, labels, axis, *, weight=None, ignore_index=None, label_smoothing=0.0, z_loss=0.0,
        reduction="mean", grad=True, wanted=""):  # fmt: skip
    """Loss and gradient, as _cupy_losses.py launches them."""
    given = labels.shape == x.shape
    labels = labels if given else np.ascontiguousarray(labels)
    y = aligned(x.shape, x.dtype) if grad else None
    kept = [length for i, length in enumerate(x.shape) if i != axis]
    value = aligned(kept if reduction == "none" else (), x.dtype)
    counted = reduction == "mean" and not given and (weight is not None or ignore_index is not None)
    starts_right = x.ctypes.data % 16 == 0 and (y is None or y.ctypes.data % 16 == 0)
    plan = _cuda_dense.plan_dense(
        x.dtype.name, x.shape, axis, x.strides, None if y is None else y.strides, labels.strides if given else None,
        starts_right, label_smoothing, labels.itemsize if given else 0, weight is not None,
        ignores=ignore_index is not None, ignored=ignore_index or 0, weighs=True, z_loss=z_loss,
        label_bytes=labels.itemsize * (-1 if labels.dtype.kind == "u" else 1),
        weight_single=weight is not None and weight.itemsize == 4, summed=reduction != "none", counted=counted,
        divisor=float(np.prod(kept)) if reduction == "mean" else 1.0,
    )  # fmt: skip
    labels, targets = (None, labels) if given else (labels, None)
    run_loss(library, plan, x, y, labels, weight, targets, value, wanted=wanted)
    return value, y


def check(library, x, labels, axis, what, wanted="", **options):
    with np.errstate(all="ignore"):  # a sum beyond float16
        want, slope = stablesoft.softmax_cross_entropy(x, labels, axis, return_grad=True, **options)
    loss, gradient = run(library, x, labels, axis, wanted=wanted, **options)
    assert_same_bits(loss, np.asarray(want), f"{what}: loss")
    assert_same_bits(gradient, slope, f"{what}: gradient")
    alone, _ = run(library, x, labels, axis, grad=False, wanted=wanted, **options)
    assert_same_bits(alone, np.asarray(want), f"{what}: loss alone")


def probabilities(x, axis, seed=0):
    """Some rows have one class alone, some nothing."""
    t = np.moveaxis(aligned(x.shape, x.dtype), axis, -1)
    lines = np.moveaxis(x, axis, -1)
    for i, place in enumerate(np.ndindex(lines.shape[:-1])):
        t[place] = probabilities_of(lines[place], seed + i)
        if i % 7 == 3:
            t[place] = 0.0
            t[place][i % t.shape[-1]] = 0.7
        elif i % 7 == 5:
            t[place] = 0.0
    return np.moveaxis(t, -1, axis)


DENSE = [case for case in SOFTMAX if case.name == "softmax_cross_entropy" and (case.soft or "label_smoothing" in
                                                                               case.kwargs)]  # fmt: skip


@pytest.mark.parametrize("case", DENSE, ids=lambda case: case.id)
def test_named_rows(emulation, case, dtype):
    for name, row in rows(dtype).items():
        places = list(labels_of(row).values())
        x = aligned((len(places), row.size), dtype)
        x[:] = row
        targets = np.array([probabilities_of(row, i) for i in range(len(places))]) if case.soft else np.array(places)
        options = {**case.kwargs, **case.arrays(row.size, row.dtype)}
        for reduction in ("none", "mean"):
            check(emulation, x, targets, 1, name, reduction=reduction, **options)
        check(emulation, np.asfortranarray(x), targets, 1, f"{name}, columns", reduction="none", **options)


@KINDS
def test_lengths(emulation, kind):
    """Every length around the borders of the kernels, with and without 16-byte loads."""
    random = np.random.default_rng(3)
    for n in (1, 2, 3, 8, 31, 32, 33, 100, 256, 257, 1024, 1025, 2049):
        for scale in (1.0, 30.0):
            x = aligned((5, n), kind)
            x[...] = random.normal(0, scale, x.shape)
            labels = random.integers(0, n, 5)
            check(emulation, x, labels, 1, f"n={n}, scale {scale}", reduction="none", label_smoothing=0.1)
            check(emulation, x, labels, 1, f"n={n}, scale {scale}", label_smoothing=0.1, z_loss=1e-3)
            check(emulation, x, probabilities(x, 1), 1, f"n={n}, scale {scale}", reduction="none")


@KINDS
@pytest.mark.parametrize(("n", "most_of_a_warp"), [(7, 1024), (150, 64)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.usefixtures("small_blocks")
def test_hard_rows(emulation, kind, n, most_of_a_warp, axis, monkeypatch):
    monkeypatch.setattr(_cuda, "MOST_OF_A_WARP", most_of_a_warp)
    x = np.moveaxis(tiled(kind, 60, n), 1, axis)
    random = np.random.default_rng(n)
    labels, t = random.integers(0, n, 60), probabilities(x, axis)
    single = "float32" if kind == "float16" else kind
    weight = random.uniform(0, 3, n).astype(single)
    weight[random.integers(0, n, n // 4)] = 0.0
    for options in ({"label_smoothing": 0.1}, {"label_smoothing": 1.0, "z_loss": 0.25},
                    {"label_smoothing": 0.2, "ignore_index": int(labels[0])},
                    {"label_smoothing": 0.2, "weight": weight, "ignore_index": int(labels[7])},
                    {"label_smoothing": 1e-200}):  # fmt: skip
        check(emulation, x, labels, axis, options, **options)
    for options in ({}, {"label_smoothing": 0.3}, {"weight": weight}, {"z_loss": 1e-3, "weight": weight - 1}):
        check(emulation, x, t, axis, options, reduction="none", **options)


@pytest.mark.parametrize(("n", "many_rows", "enough", "wanted"), [
    (40, 1000, 1, "_short"), (100, 1000, 1, "smooth_float32"), (100, 1, 1, "_short"), (1000, 1, 1, "_short"),
    (2049, 1, 1, "_long"), (2049, 1, 1000, "_long"),
])  # fmt: skip
def test_smoothed(emulation, n, many_rows, enough, wanted, monkeypatch):
    """Every number of threads to a row, of hard rows and of ordinary ones."""
    monkeypatch.setattr(_cuda_dense, "MANY_ROWS", many_rows)
    monkeypatch.setattr(_cuda, "ENOUGH_BLOCKS", enough)
    x = tiled("float32", 45, n)
    x[20:] = np.random.default_rng(n).normal(0, 5, (25, n))
    labels = np.random.default_rng(n).integers(0, n, 45)
    for options in ({}, {"z_loss": 0.1, "reduction": "none"}, {"ignore_index": int(labels[30])}):
        check(emulation, x, labels, 1, wanted, wanted, label_smoothing=0.1, **options)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_extremes(emulation, dtype, reduction):
    """Weights, probabilities and smoothing that doubles cannot carry."""
    info, n = np.finfo(dtype), 12
    x = tiled(dtype, 40, n)
    labels, t = np.arange(40) % n, probabilities(x, 1)
    for size in (1e30, 2.0**-125, 0.0, info.max, info.smallest_subnormal, np.inf, np.nan):
        weight = np.ones(n, dtype)
        weight[::2] = size
        for smoothing in (0.1, 5e-324, 1.0):
            check(emulation, x, labels, 1, size, weight=weight, label_smoothing=smoothing, reduction=reduction)
        check(emulation, x, t, 1, size, weight=weight, reduction=reduction)
        with np.errstate(all="ignore"):
            some = t * weight
        check(emulation, x, some, 1, size, reduction=reduction)
    with np.errstate(under="ignore"):
        tiny = t * info.tiny
    check(emulation, x, tiny, 1, "tiny", reduction=reduction)
    check(emulation, x, t, 1, "z_loss", z_loss=1e300, reduction=reduction)
    # the weight times the probability is 0, though neither is
    weight, small = np.ones(n, dtype), np.full_like(t, 0.5)
    weight[0] = small[:, 0] = info.tiny
    check(emulation, x, small, 1, "nothing", weight=weight, reduction=reduction)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_strides(emulation, dtype, axis):
    random = np.random.default_rng(4)
    x = random.normal(0, 5, (6, 7, 9)).astype(dtype)[:, ::-1, 1:8].transpose(2, 0, 1)
    t = probabilities(x, axis)
    labels = random.integers(0, x.shape[axis], [n for i, n in enumerate(x.shape) if i != axis])
    for given in (t, np.asfortranarray(t), t[::-1, ::-1], np.broadcast_to(t[:1], t.shape)):
        for reduction in ("none", "mean"):
            check(emulation, x, given, axis, given.strides, reduction=reduction)
    check(emulation, x, labels, axis, "labels", label_smoothing=0.1)
    images = random.normal(0, 5, (2, 21, 6, 10)).astype(dtype)
    check(emulation, images, random.integers(0, 21, (2, 6, 10)), 1, "images", label_smoothing=0.1,
          wanted="smooth_float32_columns" if dtype == "float32" else "dense")  # fmt: skip


@KINDS
def test_types_of_probabilities(emulation, kind):
    """They are rounded to the type of the logits, of halves to float32."""
    x = aligned((20, 30), kind)
    x[...] = np.random.default_rng(5).normal(0, 3, x.shape)
    wide = probabilities(x.astype("float64"), 1)
    for given in ("float16", "float32", "float64"):
        with np.errstate(under="ignore"):
            check(emulation, x, wide.astype(given), 1, given)


@pytest.mark.parametrize("n", [21, 1100])
@pytest.mark.parametrize("axis", [0, 1])
def test_bad_labels(emulation, dtype, n, axis):
    """NaN in their rows, and nowhere else; no mean over them is a number."""
    x = aligned((40, n) if axis else (n, 40), dtype)
    x[...] = np.random.default_rng(3).normal(size=x.shape)
    labels = np.random.default_rng(4).integers(0, n, 40)
    good = labels.copy()
    labels[[3, 8, 9]] = n, -1, 2**62
    bad = labels != good
    for options in ({}, {"ignore_index": int(labels[0])}, {"weight": np.ones(n, dtype)}):
        options["label_smoothing"] = 0.1
        loss, gradient = run(emulation, x, labels, axis, reduction="none", **options)
        want, slope = stablesoft.softmax_cross_entropy(x, good, axis, reduction="none", return_grad=True, **options)
        gradient, slope = (np.moveaxis(array, axis, 1) for array in (gradient, slope))
        assert np.isnan(loss[bad]).all()
        assert np.isnan(gradient[bad]).all()
        assert_same_bits(loss[~bad], want[~bad], "loss")
        assert_same_bits(gradient[~bad], slope[~bad], "gradient")
        for some in (labels, np.full(40, -7)):
            assert np.isnan(run(emulation, x, some, axis, **options)[0])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_many_rows(emulation, dtype, reduction, monkeypatch):
    """Sums by several blocks, which leave partial sums."""
    monkeypatch.setattr(_cuda_losses, "MOST_ADDED", 20)
    x = aligned((150, 4), dtype)
    x[...] = np.random.default_rng(9).normal(0, 3, x.shape)
    labels = np.random.default_rng(5).integers(0, 4, 150)
    check(emulation, x, labels, 1, reduction, reduction=reduction, ignore_index=2, label_smoothing=0.1)


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """Kernels that trust no sum, so that every row is done exactly."""
    around = [name for name in _cuda_kernels.kernels() if name.startswith("cross_entropy") and name.endswith(AROUND)]
    names = [name for name in _cuda_kernels.kernels() if name.startswith(("dense", "smooth")) or name in around]
    names = [name for name in names if "float16" not in name]
    return compiled(tmp_path_factory.mktemp("doubtful"), names, "-DSS_DOUBT=0x1p40")


@pytest.mark.parametrize("n", [7, 100, 1025])
def test_exact_sums(doubtful, dtype, n):
    x = tiled(dtype, 60 if n < 1025 else 12, n)
    labels, t = np.random.default_rng(n).integers(0, n, len(x)), probabilities(x, 1)
    for reduction in ("none", "mean"):
        check(doubtful, x, labels, 1, "labels", label_smoothing=0.1, reduction=reduction)
        check(doubtful, x, t, 1, "probabilities", reduction=reduction)
