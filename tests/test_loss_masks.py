"""Masked arrays in the losses: as if what is masked were not there, and the mask comes back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stablesoft
from cases import DTYPES
from loss_cases import SIGMOID, SOFTMAX
from stablesoft import caffe

MASKED = ["logits", "targets", "both"]
LOGITS = st.floats(-40, 40, width=32)


@st.composite
def batches(draw):
    """Logits with a mask; targets of every kind with masks of their own."""
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    shape = rows, classes
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.0, 0.3, 0.8]))
    x = np.reshape(draw(st.lists(LOGITS, min_size=rows * classes, max_size=rows * classes)), shape)
    x = np.ma.MaskedArray(x, random.random(shape) < density)
    x.data[x.mask & (random.random(shape) < 0.3)] = math.nan  # nobody looks behind a mask
    labels = np.ma.MaskedArray(random.integers(0, classes, rows), random.random(rows) < 0.3)
    labels.data[labels.mask] = 99
    t = np.ma.MaskedArray(random.random(shape), random.random(shape) < density)
    t.data[t.mask] = math.nan
    return x, labels, t


def mean_of(items, number):
    return sum(items) / number if number else 0.0


def assert_reduced(case, call, items, divisor, dtype):
    """Sum and mean of the losses, and the gradient of the mean beside that of the sum."""
    close = {"rtol": 16 * np.finfo(dtype).eps, "atol": 1e-300}
    total, slope = call(reduction="sum")
    mean, grad = call(reduction="mean")
    assert type(total) is type(mean) is np.dtype(dtype).type
    np.testing.assert_allclose(total, sum(items), **close)
    np.testing.assert_allclose(mean, mean_of(items, divisor), **close)
    close["atol"] = 256 * np.finfo(dtype).eps if case.parts else 1e-300
    np.testing.assert_allclose(grad.filled(0), slope.filled(0) / divisor if divisor else 0, **close)
    np.testing.assert_array_equal(grad.mask, slope.mask)


@pytest.mark.parametrize("case", SOFTMAX, ids=lambda case: case.id)
@given(dtype=st.sampled_from(DTYPES), batch=batches(), which=st.sampled_from(MASKED), axis=st.sampled_from([0, 1]))
def test_softmax_losses_of_what_is_left(case, dtype, batch, which, axis):
    """Each row is that of its unmasked classes alone; rows without a label or a class are ignored."""
    x, labels, t = batch
    x = x.astype(dtype) if which != "targets" else np.ma.MaskedArray(x.filled(0.5).astype(dtype))
    targets = t.astype(dtype) if case.soft else labels
    if which == "logits":
        targets = targets.filled(0)
    rows, classes = x.shape
    weight = next(iter(case.arrays(classes, dtype).values()), np.ones(classes, dtype))
    loss, grad = case(stablesoft, x if axis else x.T, targets.T if case.soft and not axis else targets, axis=axis,
                      reduction="none", return_grad=True)  # fmt: skip
    grad = grad if axis else grad.T
    assert isinstance(loss, np.ma.MaskedArray) and isinstance(grad, np.ma.MaskedArray)
    assert loss.dtype == grad.dtype == dtype and not grad.data[grad.mask].any() and not loss.data[loss.mask].any()
    items, divisor = [], 0.0
    for i in range(rows):
        left = np.flatnonzero(~np.ma.getmaskarray(x)[i])
        beside = np.ma.getmaskarray(targets)[i]
        assert loss.mask[i] == (left.size == 0 or bool(np.all(beside)))
        np.testing.assert_array_equal(grad.mask[i], loss.mask[i] | np.ma.getmaskarray(x)[i])
        if loss.mask[i]:
            continue
        if case.soft:
            given_targets = np.ma.filled(targets[i], 0)
            outside, mine = np.any(np.delete(given_targets, left)), given_targets[left]
        else:
            outside, mine = targets[i] not in left, np.searchsorted(left, targets[i])
            if case.kwargs.get("label_smoothing") == 1:  # nothing is left to the label
                outside, mine = False, 0
        divisor += float(weight[targets[i]]) if case.name == "softmax_cross_entropy" and not case.soft else 1
        if outside:  # a class that is not there has the probability 0
            assert loss[i] == math.inf
            items.append(math.inf)
            continue
        options = {name: weight[left] for name in case.weights}
        alone, slope = getattr(stablesoft, case.name)(
            x.data[i, left], mine, **options, **case.kwargs, reduction="none", return_grad=True
        )
        items.append(float(alone))
        loose = 4 * np.finfo(dtype).eps if "label_smoothing" in case.kwargs else 0
        np.testing.assert_allclose(loss[i], alone, rtol=loose)
        np.testing.assert_allclose(grad.data[i, left], slope, rtol=0, atol=loose * float(weight.max()) * (1 + alone))
    if divisor and sum(items) < math.inf:
        assert_reduced(case, lambda **how: case(stablesoft, x, targets, return_grad=True, **how), items, divisor, dtype)


@pytest.mark.parametrize("case", SIGMOID, ids=lambda case: case.id)
@given(dtype=st.sampled_from(DTYPES), batch=batches(), which=st.sampled_from(MASKED))
def test_sigmoid_losses_of_what_is_left(case, dtype, batch, which):
    """The elements that are left have their losses to the bit; the mean is NumPy's masked one."""
    x, _, t = batch
    x, t = x.astype(dtype), (t if case.soft else np.ma.MaskedArray(np.round(t.data), t.mask)).astype(dtype)
    x, t = x if which != "targets" else x.filled(0.5), t if which != "logits" else t.filled(1)
    mask = np.ma.getmaskarray(x) | np.ma.getmaskarray(t)
    plain = case(stablesoft, np.where(mask, 0, x), np.where(mask, 0, t), reduction="none", return_grad=True)
    got = case(stablesoft, x, t, reduction="none", return_grad=True)
    for value, expected in zip(got, plain, strict=True):
        assert isinstance(value, np.ma.MaskedArray) and value.dtype == dtype
        np.testing.assert_array_equal(value.mask, mask)
        np.testing.assert_array_equal(value.data, np.where(mask, 0, expected))
    items = plain[0][~mask].tolist()
    assert_reduced(case, lambda **how: case(stablesoft, x, t, return_grad=True, **how), items, len(items), dtype)


X = np.ma.MaskedArray([[0.5, -1, 2], [3, math.nan, -0.25], [math.nan] * 3], [[0, 0, 0], [0, 1, 0], [1, 1, 1]])
Y = np.ma.MaskedArray([2, 0, 77], [0, 0, 1])


def test_shapes_and_types(dtype):
    """Losses of a row and of an element are scalars; lists, integers and float16 may stand beside masked arrays."""
    loss, grad = stablesoft.softmax_cross_entropy(X[1].astype(dtype), 2, reduction="none", return_grad=True)
    assert type(loss) is np.dtype(dtype).type and grad.mask.tolist() == [False, True, False]
    assert stablesoft.softmax_cross_entropy(X[2].astype(dtype), 2, reduction="none") is np.ma.masked
    assert stablesoft.softmax_cross_entropy(X[2].astype(dtype), 2) == 0
    assert stablesoft.sigmoid_cross_entropy(np.ma.MaskedArray(1.0, True), 1.0, reduction="none") is np.ma.masked
    expected = stablesoft.softmax_cross_entropy(X.data[:1].astype(dtype), [2], return_grad=True)
    for labels in (Y[[0, 2]], Y[[0, 2]].astype("uint64"), np.ma.MaskedArray([2, -5], [0, 1], dtype="int8")):
        loss, grad = stablesoft.softmax_cross_entropy(X.data[[0, 0]].astype(dtype), labels, return_grad=True)
        assert loss == expected[0] and grad.mask.tolist() == [[False] * 3, [True] * 3]
        np.testing.assert_array_equal(grad.data, [expected[1][0], np.zeros(3)])
    loss, grad = stablesoft.softmax_cross_entropy([[1, 2], [3, 4]], np.ma.MaskedArray([0, 1], [0, 1]), return_grad=True)
    assert grad.dtype == "float64" and loss == stablesoft.softmax_cross_entropy([[1, 2]], [0])
    for function, targets in ((stablesoft.softmax_focal_loss, Y), (stablesoft.sigmoid_focal_loss, np.zeros((3, 3)))):
        loss, grad = function(X.astype("float16"), targets, reduction="none", return_grad=True)
        assert loss.dtype == grad.dtype == "float16" and isinstance(grad, np.ma.MaskedArray)
        assert isinstance(function(X.astype("longdouble"), targets), np.longdouble)


def test_nothing_is_left(dtype):
    """A mean over nothing is 0 with a gradient of 0, all of it masked."""
    x, t = np.ma.masked_all((2, 3), dtype), np.ma.masked_all((2, 3), dtype)
    labels = np.ma.masked_all(2, int)
    full = np.ones((2, 3), dtype)
    for function, logits, targets in (
        (stablesoft.softmax_cross_entropy, x, [0, 1]),
        (stablesoft.softmax_cross_entropy, full, labels),
        (stablesoft.softmax_cross_entropy, full, t),
        (stablesoft.softmax_focal_loss, x, labels),
        (stablesoft.sigmoid_cross_entropy, x, full),
        (stablesoft.sigmoid_focal_loss, full, t),
        (caffe.softmax_with_loss, x, [0, 1]),
        (caffe.softmax_with_loss, full, labels),
        (caffe.sigmoid_cross_entropy_loss, x, full),
        (caffe.sigmoid_cross_entropy_loss, full, t),
    ):
        loss, grad = function(logits, targets, return_grad=True)
        assert type(loss) is np.dtype(dtype).type and loss == 0
        assert grad.mask.all() and not grad.data.any()


def test_labels_that_take_part_are_checked():
    for ignored in (None, -100):
        with pytest.raises(ValueError, match=r"labels\[0\] is -1, "):
            stablesoft.softmax_cross_entropy(X, np.ma.MaskedArray([-1, 0, 77], [0, 0, 1]), ignore_index=ignored)
    with pytest.raises(ValueError, match=r"label\[1, 0\] is 3.5, "):
        caffe.softmax_with_loss(X, np.ma.MaskedArray([[77], [3.5], [0]], [[1], [0], [0]]))
    left = stablesoft.softmax_cross_entropy(X[:2], [2, 0])
    assert stablesoft.softmax_cross_entropy(X, [2, 0, -7]) == left  # a row without logits has nothing to be a label of
    ignored = stablesoft.softmax_cross_entropy(X, [2, 300, 0], ignore_index=300, reduction="none")
    assert ignored.mask.tolist() == [False, False, True] and ignored[1] == 0 and ignored[0] > 0


@pytest.mark.parametrize("name", ["weight", "pos_weight", "alpha"])
def test_masked_weights(name):
    functions = {"weight": stablesoft.softmax_cross_entropy, "alpha": stablesoft.softmax_focal_loss}
    function, targets = functions.get(name, stablesoft.sigmoid_cross_entropy), np.zeros(3, int)
    weights = np.ma.MaskedArray([1.0, 2.0, 3.0])
    for x in (X, X.filled(0)):
        with pytest.raises(TypeError, match=f"{name} is a masked array: fill it"):
            function(x, targets if name != "pos_weight" else x, **{name: weights})
    if name == "weight":
        with pytest.raises(TypeError, match="weight is a masked array: fill it"):
            stablesoft.sigmoid_cross_entropy(X, X, weight=weights)


@pytest.mark.parametrize("mode", ["full", "valid", "batch_size", "none"])
@pytest.mark.parametrize("ignore_label", [None, 1])
def test_caffe_ignores_what_is_masked(mode, ignore_label, dtype):
    """A masked label or target is one more that is ignored; masked data are no classes, or count nothing."""
    random = np.random.default_rng(3)
    data = random.normal(0, 3, (4, 5, 3, 2)).astype(dtype)
    label, target = random.integers(0, 5, (4, 1, 3, 2)), random.uniform(-2, 2, data.shape).astype(dtype)
    out, no = random.random(label.shape) < 0.3, random.random(target.shape) < 0.3
    options = {"normalization": mode, "return_grad": True}
    mine = {"ignore_label": ignore_label, **options}
    left = {"ignore_label": 7, **options}  # the same by hand
    gone, none = out | (label == ignore_label), no | (ignore_label is not None) & (np.trunc(target) == 1)

    expected = caffe.softmax_with_loss(data, np.where(gone, 7, label), return_prob=True, **left)
    for y in (label, label.astype(dtype)):
        got = caffe.softmax_with_loss(data, np.ma.MaskedArray(y, out), return_prob=True, **mine)
        for value, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(np.ma.getdata(value), other)
        assert type(got[1]) is np.ndarray
        np.testing.assert_array_equal(got[2].mask, np.broadcast_to(out, data.shape))
    hidden = random.random(data.shape) < 0.2
    np.put_along_axis(hidden, label, False, axis=1)
    got = caffe.softmax_with_loss(np.ma.MaskedArray(data, hidden), np.where(gone, 7, label), return_prob=True, **left)
    lowest = np.where(hidden, -np.inf, data).astype(dtype)
    expected = caffe.softmax_with_loss(lowest, np.where(gone, 7, label), return_prob=True, **left)
    for value, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(np.ma.getdata(value), other)
    np.testing.assert_array_equal(got[1].mask, hidden)

    expected = caffe.sigmoid_cross_entropy_loss(data, np.where(none, 7, target).astype(dtype), **left)
    flat = np.ma.MaskedArray(target, no).reshape(4, -1)
    for x, t in ((data, flat), (np.ma.MaskedArray(data, no), target), (np.ma.MaskedArray(data, no), flat)):
        loss, grad = caffe.sigmoid_cross_entropy_loss(x, t, **mine)
        assert loss == expected[0] and type(loss) is np.dtype(dtype).type
        np.testing.assert_array_equal(grad.data, expected[1])
        np.testing.assert_array_equal(grad.mask, no)


def test_weights_that_are_not_finite():
    """A mean over infinite weights is NaN, with masked labels as without, and not an error."""
    x, weight = np.zeros((3, 2)), [np.inf, -np.inf]
    for labels in ([0, 1, 0], np.ma.MaskedArray([0, 1, 0], [0, 0, 1])):
        assert np.isnan(stablesoft.softmax_cross_entropy(x, labels, weight=weight, label_smoothing=0.1))
