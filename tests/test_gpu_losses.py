"""Losses and options on a CUDA device: NumPy's bits, bad labels, streams, graphs."""

import warnings

import numpy as np
import pytest
from test_gpu import DEVICES, KINDS, assert_same_results, check_captured, cupy, fetched, lent, pytestmark  # noqa: F401
from test_reproducibility import assert_same_bits

import stablesoft
from emulation import tiled, values
from stablesoft import caffe

REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "sum", "mean"])


def check(name, x, targets, *place, what="", **options):
    """Loss and gradient, and the loss alone."""
    function = getattr(stablesoft, name)
    for return_grad in (True, False):
        with np.errstate(over="ignore"):  # a sum beyond float16
            want = function(x, targets, *place, return_grad=return_grad, **options)
        got = function(cupy.asarray(x), cupy.asarray(targets), *place, return_grad=return_grad, **lent(options))
        assert_same_results(got, want, f"{what} {x.shape} {options}")


@KINDS
@REDUCTIONS
def test_lengths(kind, reduction):
    random = np.random.default_rng(3)
    for n in (1, 2, 3, 8, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 256, 257, 512, 513, 1000, 1024, 2048, 2049, 4096,
              4097, 10_001, 50_257):  # fmt: skip
        for rows in (1, 37):
            x = random.normal(0, random.choice([1.0, 30.0]), (rows, n)).astype(kind)
            check("softmax_cross_entropy", x, random.integers(0, n, rows), reduction=reduction)


@pytest.mark.parametrize("n", [21, 1000, 4000, 9000])
def test_hard_rows(dtype, n):
    x = tiled(dtype, 700, n)
    random = np.random.default_rng(n)
    labels = random.integers(0, n, 700)
    weight = random.uniform(0, 3, n).astype(dtype)
    for options in ({}, {"ignore_index": int(labels[3])}, {"weight": weight}, {"z_loss": 0.25},
                    {"weight": weight, "z_loss": 1e-3, "ignore_index": -100}):  # fmt: skip
        for reduction in ("none", "mean"):
            check("softmax_cross_entropy", x, labels, what="rows", reduction=reduction, **options)
            check("softmax_cross_entropy", np.ascontiguousarray(x.T), labels, 0, what="columns", reduction=reduction,
                  **options)  # fmt: skip


@pytest.mark.usefixtures("slow_doubles")
@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_in_floats(kind):
    random = np.random.default_rng(14)
    for n in (1, 7, 32, 33, 128, 200, 500, 1000, 4096, 5000, 100_000):
        for scale in (1.0, 30.0, 20000.0):
            x = np.clip(random.normal(0, scale, (3 if n > 5000 else 300, n)), -6e4, 6e4).astype(kind)
            labels = random.integers(0, n, len(x))
            check("softmax_cross_entropy", x, labels, what="rows")
            check("softmax_cross_entropy", np.ascontiguousarray(x.T), labels, 0, what="columns", reduction="none")


@KINDS
@pytest.mark.parametrize("shape", [(1, 10_000_000), (3, 1_000_003), (50, 70_000)])
def test_few_huge_rows(kind, shape):
    """Rows, and columns, that several blocks share."""
    random = np.random.default_rng(7)
    x = random.normal(0, 3, shape).astype(kind)
    labels = random.integers(0, shape[1], shape[0])
    for options in ({}, {"reduction": "none"}, {"ignore_index": int(labels[0])}, {"z_loss": 1e-3}):
        check("softmax_cross_entropy", x, labels, what="rows", **options)
    if shape[0] > 3:
        check("softmax_cross_entropy", np.ascontiguousarray(x.T), labels, 0, what="columns")


@pytest.mark.parametrize("outer", [2, 90])
def test_hard_huge_rows(dtype, outer):
    x = tiled(dtype, outer, 50_000)
    labels = np.random.default_rng(8).integers(0, 50_000, outer)
    for options in ({}, {"z_loss": 0.25}, {"weight": np.full(50_000, 1e30, dtype)}):
        check("softmax_cross_entropy", x, labels, what="rows", reduction="none", **options)
        check("softmax_cross_entropy", np.ascontiguousarray(x.T), labels, 0, what="columns", **options)


@KINDS
@pytest.mark.parametrize("normalization", caffe.NORMALIZATIONS)
def test_caffe(kind, normalization):
    random = np.random.default_rng(6)
    x = random.normal(0, 60, (3, 21, 40, 50)).astype(kind)
    labels = random.integers(0, 21, (3, 1, 40, 50))
    for label in (labels, labels.astype("float32")):
        for options in ({"ignore_label": 2}, {"clamp": False, "loss_weight": -0.3}):
            named = {**options, "normalization": normalization, "return_grad": True, "return_prob": True}
            got = caffe.softmax_with_loss(cupy.asarray(x), cupy.asarray(label), **named)
            assert_same_results(got, caffe.softmax_with_loss(x, label, **named), named)
    t = random.uniform(0, 1, x.shape).astype(kind)
    t[:, ::3] = 255
    for target, options in ((t, {}), (t, {"ignore_label": 255}), (t.astype("int32"), {"ignore_label": 255})):
        for return_grad in (False, True):
            named = {**options, "normalization": normalization, "return_grad": return_grad, "loss_weight": 0.3}
            got = caffe.sigmoid_cross_entropy_loss(cupy.asarray(x), cupy.asarray(target), **named)
            assert_same_results(got, caffe.sigmoid_cross_entropy_loss(x, target, **named), named)


def test_images(dtype):
    random = np.random.default_rng(5)
    x = random.normal(0, 3, (4, 21, 60, 70)).astype(dtype)
    labels = random.integers(0, 21, (4, 60, 70)).astype("uint8")
    labels[:, 10:20] = 255
    for reduction in ("none", "sum", "mean"):
        check("softmax_cross_entropy", x, labels, 1, ignore_index=255, reduction=reduction)


@pytest.mark.parametrize("rows", [100, 8193, 300_000])
def test_many_rows(dtype, rows):
    random = np.random.default_rng(rows)
    x, labels = random.normal(0, 3, (rows, 10)).astype(dtype), random.integers(0, 10, rows)
    for reduction in ("sum", "mean"):
        check("softmax_cross_entropy", x, labels, reduction=reduction)
        check("softmax_cross_entropy", x, labels, reduction=reduction, ignore_index=2)


@pytest.mark.parametrize("n", [21, 300, 3000, 9000, 40_000])
@pytest.mark.parametrize("axis", [0, 1])
def test_bad_labels(dtype, n, axis, monkeypatch):
    random = np.random.default_rng(4)
    x = random.normal(size=(40, n) if axis else (n, 40)).astype(dtype)
    good = random.integers(0, n, 40)
    labels = good.copy()
    labels[[3, 8, 9]] = n, -1, 2**62
    bad = labels != good
    x_gpu, labels_gpu = cupy.asarray(x), cupy.asarray(labels)
    loss, gradient = fetched(
        stablesoft.softmax_cross_entropy(x_gpu, labels_gpu, axis, reduction="none", return_grad=True)
    )
    want, slope = stablesoft.softmax_cross_entropy(x, good, axis, reduction="none", return_grad=True)
    gradient, slope = (np.moveaxis(array, axis, 1) for array in (gradient, slope))
    assert np.isnan(loss[bad]).all()
    assert np.isnan(gradient[bad]).all()
    assert_same_bits(loss[~bad], want[~bad], "loss")
    assert_same_bits(gradient[~bad], slope[~bad], "gradient")
    assert np.isnan(float(stablesoft.softmax_cross_entropy(x_gpu, labels_gpu, axis)))
    from stablesoft import _cupy_losses  # imports CuPy

    monkeypatch.setattr(_cupy_losses, "CHECKED", True)
    with pytest.raises(ValueError, match=rf"labels\[3\] is {n}, which is not one of the {n} classes"):
        stablesoft.softmax_cross_entropy(x_gpu, labels_gpu, axis)


@KINDS
@REDUCTIONS
def test_sigmoid(kind, reduction):
    random = np.random.default_rng(9)
    for x in (values(kind, 100_000), values(kind, 100_001)[1:], values(kind, 30_000).reshape(300, 100)[::-2, 3:50]):
        finite = np.nan_to_num(x, nan=3.0, posinf=50.0, neginf=-70.0)
        for targets in (random.integers(0, 2, x.shape), random.uniform(0, 1, x.shape)):
            t = targets.astype(kind)
            check("sigmoid_cross_entropy", x, t, reduction=reduction)
            check("sigmoid_cross_entropy", finite, t, reduction=reduction)
            check("sigmoid_cross_entropy", finite, t, reduction=reduction,
                  weight=random.integers(0, 3, x.shape).astype(kind),
                  pos_weight=random.uniform(0, 3, x.shape[-1]).astype(kind))  # fmt: skip


@KINDS
@pytest.mark.parametrize("n", [7, 21, 200, 500, 3000, 100_000])
def test_softmax_focal(kind, n):
    """Rows of every layout, hard and ordinary ones; a power that doubles cannot carry."""
    random = np.random.default_rng(n)
    hard = tiled(kind, 40, n) if kind != "float16" else random.normal(0, 20, (40, n)).astype(kind)
    many = random.normal(0, 3, (2 if n > 3000 else 1000, n)).astype(kind)
    for x in (hard, many):
        labels = random.integers(0, n, len(x))
        alpha = random.uniform(0, 3, n).astype("float32" if kind == "float16" else kind)
        for options in ({}, {"alpha": alpha, "gamma": 0.5}, {"alpha": 0.25, "ignore_index": int(labels[0])},
                        {"reduction": "none", "gamma": 20.0}):  # fmt: skip
            check("softmax_focal_loss", x, labels, what="rows", **options)
            check("softmax_focal_loss", np.ascontiguousarray(x.T), labels, 0, what="columns", **options)


@KINDS
@REDUCTIONS
def test_sigmoid_focal(kind, reduction):
    random = np.random.default_rng(9)
    for x in (values(kind, 100_000), values(kind, 30_000).reshape(300, 100)[::-2, 3:50]):
        finite = np.nan_to_num(x, nan=3.0, posinf=50.0, neginf=-70.0)
        for targets in (random.integers(0, 2, x.shape), random.uniform(0, 1, x.shape)):
            t = targets.astype(kind)
            for options in ({}, {"alpha": 0.25, "gamma": 0.5}, {"gamma": 20.0, "alpha": 1e-60}):
                check("sigmoid_focal_loss", x, t, reduction=reduction, **options)
                check("sigmoid_focal_loss", finite, t, reduction=reduction, **options)


@REDUCTIONS
@pytest.mark.parametrize("kind", ["float16", "float32"])
@pytest.mark.usefixtures("slow_doubles")
def test_sigmoid_in_floats(kind, reduction):
    random = np.random.default_rng(15)
    ordinary = random.normal(0, 5, 3_000_000).astype(kind)
    for x in (ordinary, ordinary[1:], np.nan_to_num(values(kind, 100_000), nan=3.0, posinf=50.0, neginf=-70.0)):
        for t in (random.integers(0, 2, x.shape), random.uniform(0, 1, x.shape)):
            check("sigmoid_cross_entropy", x, t.astype(kind), reduction=reduction)


@pytest.mark.parametrize("shape", [(64, 100), (8, 9000), (2, 200_000), (20_000, 64)])
def test_capture(dtype, shape):
    random = np.random.default_rng(10)
    x, labels = random.normal(size=shape).astype(dtype), random.integers(0, shape[1], shape[0])
    check_captured(stablesoft.softmax_cross_entropy, x, labels, return_grad=True, ignore_index=3)
    check_captured(stablesoft.softmax_focal_loss, x, labels, return_grad=True, ignore_index=3, alpha=0.25)


@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n", [7, 700, 3000])
def test_options(operation, dtype, n):
    random = np.random.default_rng(n)
    x, mask = tiled(dtype, 200, n), random.random((200, n)) < 0.5
    choices = [{"temperature": 0.1}, {"temperature": 3.0, "where": mask}, {"where": mask}, {"where": mask[:1]}]
    if operation == "softmax":
        choices += [{"floor": 0.3}, {"floor": 1e-20, "where": mask, "temperature": 2.5}]
    function = getattr(stablesoft, operation)
    for options in choices:
        for axis in (0, 1):
            want = function(x, axis=axis, **options)
            got = function(cupy.asarray(x), axis=axis, **lent(options))
            assert_same_bits(cupy.asnumpy(got), want, f"{options.keys()} {axis}")
            out = cupy.empty_like(got)
            assert function(cupy.asarray(x), axis=axis, out=out, **lent(options)) is out
            assert_same_bits(cupy.asnumpy(out), want, "out")
    for axis in (0, 1, None):
        want = stablesoft.logsumexp(x, axis=axis, where=mask)
        got = stablesoft.logsumexp(cupy.asarray(x), axis=axis, where=cupy.asarray(mask))
        assert_same_bits(cupy.asnumpy(got), np.asarray(want), f"logsumexp {axis}")


def test_definition(dtype):
    """What has no kernel is computed by CuPy's own functions."""
    random = np.random.default_rng(13)
    x, t = random.normal(size=(5, 6)).astype(dtype), random.uniform(0, 1, (5, 6)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = stablesoft.softmax_focal_loss(x, t, return_grad=True)
        got = stablesoft.softmax_focal_loss(cupy.asarray(x), cupy.asarray(t), return_grad=True)
        for one, other in zip(fetched(got), want, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        got = stablesoft.logcumsumexp(cupy.asarray(x), axis=1)
        np.testing.assert_allclose(cupy.asnumpy(got), stablesoft.logcumsumexp(x, axis=1), rtol=1e-5)


def test_empty():
    for reduction in ("sum", "mean"):
        loss, gradient = stablesoft.softmax_cross_entropy(
            cupy.empty((0, 3)), cupy.empty(0, int), reduction=reduction, return_grad=True
        )
        assert float(loss) == 0.0
        assert gradient.shape == (0, 3)
    assert float(stablesoft.sigmoid_cross_entropy(cupy.empty((0, 2)), cupy.empty((0, 2)))) == 0.0
    halves = cupy.empty((0, 2), "float16")
    for loss in (
        caffe.sigmoid_cross_entropy_loss(halves, halves, ignore_label=0),
        caffe.softmax_with_loss(halves, cupy.empty(0, int)),
    ):
        assert float(loss) == 0.0
        assert loss.dtype == "float16"


@pytest.mark.skipif(DEVICES < 2, reason="one CUDA device only")
def test_other_device(dtype):
    x, labels = np.random.default_rng(12).normal(size=(50, 60)).astype(dtype), np.arange(50)
    with cupy.cuda.Device(1):
        arguments = cupy.asarray(x), cupy.asarray(labels)
    loss = stablesoft.softmax_cross_entropy(*arguments)
    assert loss.device.id == 1
    assert_same_bits(cupy.asnumpy(loss), np.asarray(stablesoft.softmax_cross_entropy(x, labels)), "device 1")
