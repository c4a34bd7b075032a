"""What Caffe's losses take and give back: memory, dtypes, libraries, and an error for each mistake."""

import doctest
import itertools
import math
import tracemalloc

import array_api_strict
import numpy as np
import pytest

import stablesoft
from exact_caffe import upstream_batch
from stablesoft import caffe

MODES = (None, "full", "valid", "batch_size", "none")


@pytest.fixture
def random():
    return np.random.default_rng(1701)


def layouts(array):
    """The same values in other memory."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    frozen = array.copy()
    frozen.flags.writeable = False
    padded = np.zeros(array.nbytes + 1, "uint8")[1:].view(array.dtype).reshape(array.shape)
    padded[...] = array
    yield from (wide[..., ::2], np.asfortranarray(array), array[::-1].copy()[::-1], frozen, padded)
    yield np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1)  # channels last in memory
    yield array.astype(array.dtype.newbyteorder())


def test_layouts(dtype, random):
    """Strided, unaligned, read-only, byte-swapped: same bits, and the input as it was."""
    data, label = upstream_batch(random, dtype)
    target = random.uniform(-2, 2, data.shape).astype(dtype)
    expected = caffe.softmax_with_loss(data, label, ignore_label=1, return_prob=True, return_grad=True)
    expected += caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=-1, return_grad=True)
    for x, t in zip(layouts(data), layouts(target), strict=True):
        got = caffe.softmax_with_loss(x, label, ignore_label=1, return_prob=True, return_grad=True)
        got += caffe.sigmoid_cross_entropy_loss(x, t, ignore_label=-1, return_grad=True)
        for value, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(value, other)
        np.testing.assert_array_equal(x, data)


def test_what_comes_back(dtype, random):
    """Loss alone as a NumPy scalar, or loss, prob, grad in that order."""
    data, label = upstream_batch(random, dtype)
    call = caffe.softmax_with_loss
    loss, prob, grad = call(data, label, return_prob=True, return_grad=True)
    assert type(call(data, label)) is type(loss) is np.dtype(dtype).type
    assert [type(v) for v in call(data, label, return_prob=True)] == [type(loss), np.ndarray]
    np.testing.assert_array_equal(call(data, label, return_prob=True)[1], prob)
    np.testing.assert_array_equal(call(data, label, return_grad=True)[1], grad)
    assert type(caffe.sigmoid_cross_entropy_loss(data, data)) is type(loss)


def test_other_input():
    """Lists and integers become float64; float16 is computed in float32 and comes back."""
    rows, label = [[1, 2, 3], [3, 0, 0]], [2, 1]
    expected = caffe.softmax_with_loss(np.array(rows, "float64"), label, return_prob=True, return_grad=True)
    for data in (rows, np.array(rows), np.array(rows, "int8")):
        got = caffe.softmax_with_loss(data, label, return_prob=True, return_grad=True)
        assert all(np.array_equal(a, b) and a.dtype == "float64" for a, b in zip(got, expected, strict=True))
    half = caffe.softmax_with_loss(np.array(rows, "float16"), label, return_prob=True, return_grad=True)
    for got, one in zip(half, expected, strict=True):
        assert got.dtype == "float16"
        np.testing.assert_array_equal(got, one.astype("float16"))
    for target in (
        [[0, 1, 1], [0, 0, 1]],
        np.array([[0, 1, 1], [0, 0, 1]], "uint8"),
        np.array([[0, 1, 1], [0, 0, 1]], bool),
    ):
        loss, grad = caffe.sigmoid_cross_entropy_loss(
            np.array(rows, "float16"), target, ignore_label=0, return_grad=True
        )
        assert loss.dtype == grad.dtype == "float16"
        assert ((grad == 0) == (np.asarray(target) == 0)).all()


def test_memory(dtype, random):
    """Beside its gradient a loss with an ignored label notes of each element whether it counts: a byte or two."""
    data, target = random.normal(size=(2, 500, 400)).astype(dtype), np.ones((2, 500, 400), dtype)
    tracemalloc.start()
    try:
        caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=0, return_grad=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < data.nbytes + 2.1 * data.size


def test_empty():
    """An empty batch costs 0, whatever it is divided by."""
    for mode in MODES:
        loss, prob, grad = caffe.softmax_with_loss(
            np.empty((0, 3, 2)), np.empty((0, 2)), normalization=mode, return_prob=True, return_grad=True
        )
        assert loss == 0 and prob.shape == grad.shape == (0, 3, 2)
        loss, grad = caffe.sigmoid_cross_entropy_loss(
            np.empty((0, 3)), np.empty((0, 3)), normalization=mode, ignore_label=1, return_grad=True
        )
        assert loss == 0 and grad.shape == (0, 3)


@pytest.mark.parametrize("ignore_label", [None, 1])
def test_definition(ignore_label, random):
    """Another library gets the same from the definition, in its own arrays."""
    xp = array_api_strict
    data, label = upstream_batch(random)
    target = random.uniform(-2, 2, data.shape)
    for mode, flag in itertools.product(MODES, (None, True, False)):
        options = {
            "normalization": mode,
            "normalize": flag,
            "ignore_label": ignore_label,
            "loss_weight": 3.7,
            "return_grad": True,
        }
        calls = [
            (caffe.softmax_with_loss, label, {**options, "return_prob": True}),
            (caffe.softmax_with_loss, label + 0.5, {**options, "clamp": False}),
            (caffe.sigmoid_cross_entropy_loss, target, options),
        ]
        for call, labels, given in calls:
            got = call(xp.asarray(data), xp.asarray(labels), **given)
            for value, other in zip(got, call(data, labels, **given), strict=True):
                assert type(value) is type(xp.asarray(1.0))
                np.testing.assert_allclose(np.asarray(value), other, rtol=1e-13, atol=1e-16)
    spoilt = xp.asarray(np.where(label == 1, math.nan, data))
    if ignore_label is not None:
        loss, grad = caffe.softmax_with_loss(spoilt, xp.asarray(label), ignore_label=1, return_grad=True)
        assert float(loss) == pytest.approx(float(caffe.softmax_with_loss(data, label, ignore_label=1)))
        assert not np.any(np.isnan(np.asarray(grad)))


def labelled(value, dtype="float64"):
    label = np.zeros((2, 1, 2, 2), dtype)
    label[1, 0, 0, 1] = label[1, 0, 1, 1] = value
    return label


DATA = np.zeros((2, 3, 2, 2))


@pytest.mark.parametrize(
    "value, said",
    [(3, "3.0"), (-1, "-1.0"), (1e30, r"1e\+30"), (-1e300, r"-1e\+300"), (math.nan, "nan"), (math.inf, "inf"),
     (2.0**32, r"4294967296.0")],
)  # fmt: skip
def test_no_class(value, said):
    """The first bad label, where the user has it and as the user gave it; an ignored one does not excuse it."""
    for ignored in (None, -2, 7):
        with pytest.raises(
            ValueError, match=rf"label\[1, 0, 0, 1\] is {said}, which is not one of the 3 classes 0 ... 2"
        ):
            caffe.softmax_with_loss(DATA, labelled(value), ignore_label=ignored)
    if math.isfinite(value) and abs(value) < 2**31:
        caffe.softmax_with_loss(DATA, labelled(value), ignore_label=int(value))
        with pytest.raises(ValueError, match=rf"label\[1, 0, 0, 1\] is {int(value)}, which"):
            caffe.softmax_with_loss(DATA, labelled(value, "int16"))
        with pytest.raises(ValueError, match=r"label\[1, 0, 0, 1\]"):
            caffe.softmax_with_loss(array_api_strict.asarray(DATA), array_api_strict.asarray(labelled(value)))


ZEROS = np.zeros((2, 2, 2))
BAD_SOFTMAX = [
    (DATA, np.zeros((1, 2, 4)), {}, ValueError, "label must have the first dimension of data"),
    (DATA, np.zeros((2, 3, 2)), {}, ValueError, "8 elements"),
    (DATA, 0, {}, ValueError, "label must have"),
    (DATA, np.zeros(DATA.shape), {}, ValueError, "label must have"),
    (np.zeros(3), [0], {"axis": 0}, ValueError, "label must have"),
    (np.zeros(3), [0], {}, ValueError, "axis"),
    (DATA, ZEROS, {"axis": 4}, ValueError, "axis"),
    (DATA, ZEROS, {"axis": 1.0}, TypeError, "axis"),
    (DATA, ZEROS, {"axis": None}, TypeError, "axis"),
    (DATA, ZEROS, {"clamp": 1}, TypeError, "clamp"),
    (DATA, ZEROS, {"return_prob": "yes"}, TypeError, "return_prob"),
    (DATA, ZEROS + 0j, {}, TypeError, "label"),
    (DATA, np.full((2, 2, 2), "0"), {}, TypeError, "label"),
]
BAD_SIGMOID = [
    (DATA, DATA[:1], {}, ValueError, "target must have the first dimension of data"),
    (DATA, np.zeros((2, 3)), {}, ValueError, "24 elements"),
    (1.0, [1.0], {}, ValueError, "data must have at least one dimension"),
    (DATA, DATA + 0j, {}, TypeError, "target"),
]
BAD_OPTIONS = [
    ({"normalization": "mean"}, ValueError, "normalization must be one of 'full', 'valid'"),
    ({"normalization": 1}, ValueError, "normalization"),
    ({"normalize": 1}, TypeError, "normalize"),
    ({"normalize": "true", "normalization": "full"}, TypeError, "normalize"),
    ({"ignore_label": 1.0}, TypeError, "ignore_label"),
    ({"ignore_label": True}, TypeError, "ignore_label must be None or an integer, not True"),
    ({"ignore_label": np.True_}, TypeError, "ignore_label"),
    ({"ignore_label": 2**31}, ValueError, "ignore_label"),
    ({"loss_weight": math.inf}, ValueError, "loss_weight must be finite, not inf"),
    ({"loss_weight": math.nan}, ValueError, "loss_weight"),
    ({"loss_weight": "1"}, TypeError, "loss_weight"),
    ({"loss_weight": [1.0]}, TypeError, "loss_weight"),
    ({"return_grad": 1}, TypeError, "return_grad"),
]
BAD = [(caffe.softmax_with_loss, *case) for case in BAD_SOFTMAX]
BAD += [(caffe.sigmoid_cross_entropy_loss, *case) for case in BAD_SIGMOID]
for options, error, words in BAD_OPTIONS:
    BAD += [(caffe.softmax_with_loss, DATA, ZEROS, options, error, words)]
    BAD += [(caffe.sigmoid_cross_entropy_loss, DATA, DATA, options, error, words)]
for data in (DATA + 0j, DATA.astype(str), DATA.astype(object)):
    BAD += [(caffe.softmax_with_loss, data, ZEROS, {}, TypeError, "data")]
    BAD += [(caffe.sigmoid_cross_entropy_loss, data, DATA, {}, TypeError, "data")]


@pytest.mark.parametrize("call, data, label, options, error, words", BAD)
def test_bad_input(call, data, label, options, error, words):
    with pytest.raises(error, match=words):
        call(data, label, **options)


@pytest.mark.parametrize("name", caffe.__all__)
def test_docstrings(name):
    found = doctest.DocTestParser().get_doctest(getattr(caffe, name).__doc__, {}, name, None, 0)
    assert found.examples and doctest.DocTestRunner().run(found).failed == 0
    assert "caffe" in stablesoft.__all__
