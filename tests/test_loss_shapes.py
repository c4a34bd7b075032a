"""Losses of unusual arrays: no rows, no classes or one, many dimensions, strides of 0, every dtype of labels."""

import numpy as np
import pytest
from test_reproducibility import assert_same_bits

from stablesoft import sigmoid_cross_entropy, sigmoid_focal_loss, softmax_cross_entropy, softmax_focal_loss

BOTH = {"reduction": "none", "return_grad": True}
SOFTMAX, SIGMOID = (softmax_cross_entropy, softmax_focal_loss), (sigmoid_cross_entropy, sigmoid_focal_loss)
OPTIONS = {
    softmax_cross_entropy: ({}, {"label_smoothing": 0.1}, {"z_loss": 0.5}, {"z_loss": 1e200}),
    softmax_focal_loss: ({}, {"gamma": 100.0}),
}


def assert_same(one, other):
    for part, a, b in zip(("loss", "gradient"), one, other, strict=True):
        assert_same_bits(a, b, part)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 0, 4), (2, 3, 0)])
def test_empty(shape, reduction, dtype):
    """Without rows or without classes there is nothing to lose."""
    x = np.zeros(shape, dtype)
    how = {"reduction": reduction, "return_grad": True}
    labels = np.full(shape[:-1], -1)
    found = [function(x, labels, ignore_index=-1, **how) for function in SOFTMAX]
    found += [function(x, x, **how) for function in SOFTMAX + SIGMOID]
    for loss, gradient in found:
        assert loss.dtype == dtype and gradient.dtype == dtype and gradient.shape == shape
        assert np.ndim(loss) == 0 if reduction != "none" else loss.shape in (shape, shape[:-1])
        assert not np.any(loss)


@pytest.mark.parametrize("rows", [1, 5, 40])
def test_one_class(rows, dtype):
    """It is certain: no loss, but for z_loss."""
    x = np.linspace(-3, 3, rows).astype(dtype)[:, None]
    x[0] = 1000
    for function, all_options in OPTIONS.items():
        for options in all_options[:2]:
            for targets in (np.zeros(rows, int), np.ones_like(x), np.full_like(x, 0.25)):
                loss, gradient = function(x, targets, **options, **BOTH)
                assert not loss.any() and not gradient.any()
    loss, gradient = softmax_cross_entropy(x, np.zeros(rows, int), z_loss=0.25, **BOTH)
    np.testing.assert_array_equal(loss, 0.25 * x[:, 0] ** 2)
    np.testing.assert_array_equal(gradient, 0.5 * x)


@pytest.mark.parametrize("integer", [*"bBhHiIlLqQ"])
def test_labels_of_every_integer_dtype(integer, dtype):
    random = np.random.default_rng(1)
    x, y = random.normal(size=(40, 5)).astype(dtype), random.integers(0, 5, 40)
    expected = softmax_cross_entropy(x, y, **BOTH)
    labels = y.astype(integer)
    unaligned = np.zeros(labels.nbytes + 1, np.uint8)[1:].view(integer)
    unaligned[:] = labels
    read_only = labels.copy()
    read_only.flags.writeable = False
    for given in (
        labels,
        labels.astype(labels.dtype.newbyteorder()),
        np.repeat(labels, 3)[::3],
        labels[::-1].copy()[::-1],
        unaligned,
        read_only,
    ):
        assert_same(softmax_cross_entropy(x, given, **BOTH), expected)
    for ignored in (-1, 300, 2**64 - 1, 2**70, -(2**63), -(2**70), np.int8(-1)):
        assert_same(softmax_cross_entropy(x, labels, ignore_index=ignored, **BOTH), expected)
    last = np.iinfo(integer).max
    labels[7] = last
    with pytest.raises(ValueError, match=rf"labels\[7\] is {last}"):
        softmax_cross_entropy(x, labels, ignore_index=-1)
    loss, gradient = softmax_cross_entropy(x, labels, ignore_index=int(last), **BOTH)
    assert loss[7] == 0 and not gradient[7].any()
    assert_same((np.delete(loss, 7), np.delete(gradient, 7, 0)), [np.delete(part, 7, 0) for part in expected])


def test_strides_of_zero(dtype):
    random = np.random.default_rng(2)
    x, t = random.normal(size=(2, 40, 6)).astype(dtype)
    y = random.integers(0, 6, 40)
    for view in (np.broadcast_to(x[:1], x.shape), np.broadcast_to(x[:, :1], x.shape)):
        for function, all_options in OPTIONS.items():
            for options in all_options:
                assert_same(function(view, y, **options, **BOTH), function(view.copy(), y, **options, **BOTH))
        for function in SIGMOID:
            assert_same(function(view, t, **BOTH), function(view.copy(), t, **BOTH))
            assert_same(function(t, view, **BOTH), function(t, view.copy(), **BOTH))
        assert_same(softmax_cross_entropy(t, view, **BOTH), softmax_cross_entropy(t, view.copy(), **BOTH))
    assert_same(
        softmax_cross_entropy(x, np.broadcast_to(y[3], 40), **BOTH), softmax_cross_entropy(x, y[[3] * 40], **BOTH)
    )
    weight = np.broadcast_to(np.array(0.3, dtype), 6)
    assert_same(
        softmax_cross_entropy(x, y, weight=weight, **BOTH), softmax_cross_entropy(x, y, weight=weight + 0, **BOTH)
    )


@pytest.mark.parametrize("axis", [0, 15, 31])
def test_many_dimensions(axis, dtype):
    """32 of them, most of size 1, and 16 that no strides join."""
    random = np.random.default_rng(axis)
    shape = [1] * 32
    shape[3], shape[9], shape[20], shape[axis] = 2, 3, 2, 5
    x = random.normal(size=shape).astype(dtype)
    y = random.integers(0, 5, [n for i, n in enumerate(shape) if i != axis])
    flat = np.moveaxis(x, axis, -1).reshape(12, 5)
    loss, gradient = softmax_cross_entropy(x, y, axis=axis, **BOTH)
    assert_same(
        (loss.ravel(), np.moveaxis(gradient, axis, -1).reshape(12, 5)), softmax_cross_entropy(flat, y.ravel(), **BOTH)
    )
    deep = np.moveaxis(random.normal(size=(2,) * 16).astype(dtype), axis // 2, 0)
    assert_same_bits(sigmoid_focal_loss(deep, deep > 0, reduction="none"),
                     sigmoid_focal_loss(deep.copy(), deep > 0, reduction="none"), "sigmoid")  # fmt: skip


@pytest.mark.parametrize("n", [3, 40, 4100])
def test_rows_beyond_doubles_in_any_layout(n, dtype):
    """What is computed in wide numbers does not depend on layout, axis, order or neighbours either."""
    random = np.random.default_rng(n)
    x = random.normal(0, 3, (9, n)).astype(dtype)
    x[2] *= 1e30
    y, order = random.integers(0, n, 9), random.permutation(n)
    place = np.argsort(order)[y]
    for options in (
        {"z_loss": 1e200},
        {"gamma": 100.0},
        {"weight": np.full(n, 1e-300 if dtype == "float64" else 1e-40)},
    ):
        function = softmax_focal_loss if "gamma" in options else softmax_cross_entropy
        loss, gradient = function(x, y, **options, **BOTH)
        assert np.isfinite(gradient[[0, 1, 3]]).all() or "z_loss" in options
        again, moved = function(x[:, order], place, **options, **BOTH)
        assert_same((again, moved), (loss, gradient[:, order]))
        again, moved = function(np.asfortranarray(x), y, **options, **BOTH)
        assert_same((again, moved), (loss, gradient))
        again, moved = function(np.ascontiguousarray(x.T), y, axis=0, **options, **BOTH)
        assert_same((again, moved.T), (loss, gradient))
        assert_same(
            [np.stack(part) for part in zip(*(function(a, b, **options, **BOTH) for a, b in zip(x, y)))],
            (loss, gradient),
        )
        assert_same_bits(function(x, y, **options, reduction="none"), loss, "without the gradient")
