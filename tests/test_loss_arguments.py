"""What the losses take and refuse, their special values, and other array libraries."""

import doctest
import functools
import inspect
import itertools
import math
import warnings

import numpy as np
import pytest
from test_losses import batch_of

import stablesoft
from loss_cases import CASES, targets_of
from stablesoft import caffe, sigmoid_cross_entropy, sigmoid_focal_loss, softmax_cross_entropy, softmax_focal_loss

NAN, INF = math.nan, math.inf
SOFTMAX, SIGMOID = (softmax_cross_entropy, softmax_focal_loss), (sigmoid_cross_entropy, sigmoid_focal_loss)
BOTH = {"reduction": "none", "return_grad": True}
X = np.array([[0.5, -1.0, 2.0], [3.0, 0.0, -0.25]])
Y = np.array([2, 0])
T = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.25]])
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "intp", "longlong", "ulonglong")


@pytest.mark.parametrize("function", SOFTMAX + SIGMOID, ids=lambda f: f.__name__)
def test_documented(function):
    """The examples hold; the signature is the documented one; the functions are public."""
    found = doctest.DocTestParser().get_doctest(function.__doc__, {}, function.__name__, None, 0)
    assert found.examples and doctest.DocTestRunner().run(found).failed == 0
    assert function.__name__ in stablesoft.__all__
    keywords = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert [p.name for p in keywords[-2:]] == ["reduction", "return_grad"]
    assert [p.default for p in keywords[-2:]] == ["mean", False]


# ---- special values ----


@pytest.mark.parametrize("name", ["labels", "one-hot"])
def test_infinite_logits(name, dtype):
    def call(row, label, function=softmax_cross_entropy, **options):
        targets = label if name == "labels" else (np.arange(len(row)) == label).astype(dtype)
        return function(np.array(row, dtype), targets, **options, **BOTH)

    def equal(got, loss, gradient):
        np.testing.assert_allclose(got[0], loss, rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(got[1], gradient, rtol=4 * np.finfo(dtype).eps)

    equal(call([INF, 0, 1], 0), 0, [0, 0, 0])
    equal(call([INF, 0, 1], 2), INF, [1, 0, -1])
    equal(call([INF, 0, INF], 2), math.log(2), [0.5, 0, -0.5])
    equal(call([INF, 0, INF], 1), INF, [0.5, -1, 0.5])
    equal(call([-INF, 0, 0], 1), math.log(2), [0, -0.5, 0.5])
    equal(call([-INF, 0, 0], 0), INF, [-1, 0.5, 0.5])
    equal(call([-INF, 7, -INF], 1), 0, [0, 0, 0])
    for row in ([NAN, 0, 1], [-INF, -INF, -INF], [NAN, INF, 0]):
        equal(call(row, 2), NAN, [NAN] * 3)
    equal(call([-INF, 0, 0], 1, softmax_focal_loss), math.log(2) / 4, np.array([0, -1, 1]) * (0.5 + math.log(2)) / 4)
    equal(call([INF, 0, INF], 1, softmax_focal_loss), INF, [0.5, -1, 0.5])


def test_nothing_times_infinity(dtype):
    """A class of probability 0 costs nothing at -inf, and no class does in a row without weight."""
    loss, gradient = softmax_cross_entropy(np.array([[0, 0, -INF]], dtype), np.array([[0.25, 0.75, 0]], dtype), **BOTH)
    np.testing.assert_allclose(loss, math.log(2), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gradient, [[0.25, -0.25, 0]], rtol=4 * np.finfo(dtype).eps)
    for row in ([NAN, 0, 1], [-INF] * 3, [INF, INF, 0]):
        for targets, options in ((0, {"weight": [0, 1, 1]}), (np.zeros(3, dtype), {}), (-1, {"ignore_index": -1})):
            loss, gradient = softmax_cross_entropy(np.array(row, dtype), targets, **options, **BOTH)
            assert loss == 0 and not gradient.any(), (row, targets)
    for function in SIGMOID:
        loss, gradient = function(np.array([INF, -INF, -800, 800], dtype), [1, 0, 0, 1], **BOTH)
        assert not loss.any() and not gradient.any()
        loss, gradient = function(np.array([INF, -INF], dtype), [0, 1], **BOTH)
        assert (loss == INF).all() and gradient.tolist() == [1, -1]
        loss, gradient = function(np.array([NAN, 0], dtype), [0, 1], **BOTH)
        assert np.isnan([loss[0], gradient[0]]).all() and np.isfinite([loss[1], gradient[1]]).all()
    assert sigmoid_cross_entropy(np.array([NAN], dtype), [1], weight=0) == 0


def test_nothing_to_average(dtype):
    """Everything ignored, no weight, an empty batch, no class: 0 with a gradient of 0."""
    x = X.astype(dtype)
    empty = np.empty((0, 3), dtype)
    for reduction in ("mean", "sum"):
        how = {"reduction": reduction, "return_grad": True}
        results = [
            softmax_cross_entropy(x, [-1, -1], ignore_index=-1, **how),
            softmax_cross_entropy(x, Y, weight=np.zeros(3), **how),
            softmax_cross_entropy(empty, np.empty(0, int), **how),
            softmax_cross_entropy(empty, [], **how),
            softmax_cross_entropy(empty, empty, **how),
            softmax_focal_loss(x, [-1, -1], ignore_index=-1, **how),
            softmax_focal_loss(empty, np.empty(0, int), **how),
            sigmoid_cross_entropy(empty, empty, **how),
            sigmoid_focal_loss(empty, empty, **how),
        ]
        for loss, gradient in results:
            assert loss == 0 and loss.dtype == gradient.dtype == dtype and not gradient.any()
    loss, gradient = softmax_cross_entropy(empty, [], **BOTH)
    assert loss.shape == (0,) and gradient.shape == (0, 3)


@pytest.mark.parametrize("case", [case for case in CASES if case.weights], ids=lambda case: case.id)
def test_weights_that_are_no_numbers(case, dtype):
    """What needs them is not finite, the mean above all; a class that is no label needs no weight."""
    x = X.astype(dtype)
    targets = T.astype(dtype) if case.sigmoid or case.soft else Y
    for name, bad in itertools.product(case.weights, (NAN, INF, -INF)):
        weights = np.ones(x.shape if case.sigmoid else 3, dtype)
        weights[..., 2] = bad
        for xp in (np, pytest.importorskip("array_api_strict")):
            arrays = xp.asarray(x), xp.asarray(targets)
            call = functools.partial(
                getattr(stablesoft, case.name), *arrays, **case.kwargs, **{name: xp.asarray(weights)}
            )
            for reduction in ("mean", "sum", "none"):
                loss, gradient = (np.asarray(one) for one in call(reduction=reduction, return_grad=True))
                needed = loss.T[-1] if case.sigmoid and reduction == "none" else loss.flat[0]
                assert not np.isfinite(needed).any()
                slope = gradient[0, 2] if case.sigmoid else gradient[0]
                assert not np.isfinite(slope).any()
    if not (case.sigmoid or case.soft or "label_smoothing" in case.kwargs):
        weights = np.array([2, bad, 3], dtype)
        usual = np.array([2, 1, 3], dtype)
        for got, value in zip(*(
            getattr(stablesoft, case.name)(x, targets, **case.kwargs, **{case.weights[0]: w}, return_grad=True)
            for w in (weights, usual)
        )):  # fmt: skip
            np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("power", [-1074, -500, 450, 1020])
def test_weights_of_any_size(power):
    """A weighted mean depends on the quotients of the weights, not on sums and losses beyond the range."""
    x, labels = 20 * X.repeat(3, axis=0), Y.repeat(3)
    every = {}, {"z_loss": 0.5}, {"label_smoothing": 0.25}
    for weight, options in itertools.product(([4, 1, 12], [0, 5, -1]), every):
        call = functools.partial(softmax_cross_entropy, return_grad=True, **options)
        for logits in (x, np.ma.MaskedArray(x, x == 0)):
            expected = call(logits, labels, weight=np.array(weight, float))
            for value, other in zip(call(logits, labels, weight=np.ldexp(weight, power)), expected):
                np.testing.assert_array_equal(value, other)


def test_negative_weights(dtype):
    """They are factors like others, as in PyTorch; where they cancel there is no mean."""
    x = X.astype(dtype)
    plain = softmax_cross_entropy(x, Y, **BOTH)
    for xp in (np, pytest.importorskip("array_api_strict")):
        call = functools.partial(softmax_cross_entropy, xp.asarray(x), xp.asarray(Y), return_grad=True)
        loss, gradient = call(weight=xp.asarray([1.0, 0, -2], dtype=getattr(xp, dtype)), reduction="none")
        np.testing.assert_allclose(np.asarray(loss), plain[0] * [-2, 1], rtol=1e-6)
        np.testing.assert_allclose(np.asarray(gradient), plain[1] * [[-2], [1]], rtol=1e-6)
        loss, gradient = call(weight=xp.asarray([1.0, 0, -2], dtype=getattr(xp, dtype)))
        np.testing.assert_allclose(float(loss), np.sum(plain[0] * [-2, 1]) / -1, rtol=1e-6)
        for options in ({}, {"label_smoothing": 0.1}):
            loss, gradient = call(weight=xp.asarray([1.0, 5, -1], dtype=getattr(xp, dtype)), **options)
            assert np.isnan(float(loss)) and np.isnan(np.asarray(gradient)).all()
            loss, gradient = call(weight=xp.asarray([0.0, 5, 0], dtype=getattr(xp, dtype)), **options)
            assert float(loss) == 0 and not np.asarray(gradient).any()
    masked = np.ma.MaskedArray(x, [[0, 1, 0], [0, 0, 0]])
    for options in ({}, {"label_smoothing": 0.1}):
        assert np.isnan(softmax_cross_entropy(masked, Y, weight=np.array([1, 5, -1]), **options))
        assert softmax_cross_entropy(masked, Y, weight=np.array([0, 5, 0]), **options) == 0
    bce = sigmoid_cross_entropy(x, T, weight=np.array([1, -2, 3], dtype), **BOTH)
    for got, value in zip(bce, sigmoid_cross_entropy(x, T.astype(dtype), **BOTH)):
        np.testing.assert_allclose(got, value * [1, -2, 3], rtol=1e-6)


@pytest.mark.parametrize("rows", [2, 3, 50_001])  # the last for threads
def test_sum_overflows_and_mean_does_not(rows, dtype):
    """Losses near the largest number have a mean there, although their sum is beyond it."""
    big = {"float32": 3e38, "float64": 1e308}[dtype]
    x = np.zeros((rows, 2), dtype)
    x[:, 0] = big
    ones, zeros = np.ones(rows, int), np.zeros(rows, dtype)
    soft = np.array([[0, 1]], dtype).repeat(rows, axis=0)
    half = np.array([[0.5, 0.5]], dtype).repeat(rows, axis=0)
    masked = np.ma.MaskedArray(x, [[0, 0]] * (rows - 1) + [[1, 1]])
    calls = [
        (softmax_cross_entropy, x, ones, 1),
        (softmax_cross_entropy, x, soft, 1),
        (softmax_cross_entropy, x, half, 0.5),
        (softmax_focal_loss, x, ones, 1),
        (sigmoid_cross_entropy, x[:, 0], zeros, 1),
        (sigmoid_focal_loss, x[:, 0], zeros, 1),
        (functools.partial(caffe.softmax_with_loss, clamp=False), x, ones, 1),
        (caffe.sigmoid_cross_entropy_loss, x[:, 0], zeros, 1),
        (softmax_cross_entropy, masked, ones, 1),
    ]
    for function, logits, targets, share in calls:
        loss = function(logits, targets)
        assert loss == np.dtype(dtype).type(big) * np.dtype(dtype).type(share), function
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        assert softmax_cross_entropy(x, ones, reduction="sum") == INF
        assert sigmoid_cross_entropy(-x[:, 0], zeros + 1, reduction="sum") == INF


def test_mean_divides_by(dtype):
    """Weights of the labels for labels, rows for probabilities and for focal loss, elements for sigmoids."""
    x, w = X.astype(dtype), np.array([0.5, 2.0, 3.0], dtype)
    one_hot = (np.arange(3) == Y[:, None]).astype(dtype)
    items = softmax_cross_entropy(x, Y, weight=w, reduction="none")
    np.testing.assert_allclose(softmax_cross_entropy(x, Y, weight=w), items.sum() / 3.5, rtol=1e-6)
    np.testing.assert_allclose(softmax_cross_entropy(x, one_hot, weight=w), items.sum() / 2, rtol=1e-6)
    smooth = softmax_cross_entropy(x, Y, weight=w, label_smoothing=0.2, reduction="sum")
    np.testing.assert_allclose(softmax_cross_entropy(x, Y, weight=w, label_smoothing=0.2), smooth / 3.5, rtol=1e-6)
    focal = softmax_focal_loss(x, Y, alpha=w, reduction="sum")
    np.testing.assert_allclose(softmax_focal_loss(x, Y, alpha=w), focal / 2, rtol=1e-6)
    bce = sigmoid_cross_entropy(x, one_hot, weight=w, reduction="sum")
    np.testing.assert_allclose(sigmoid_cross_entropy(x, one_hot, weight=w), bce / 6, rtol=1e-6)


def test_no_warnings(dtype):
    big = float(np.finfo(dtype).max)
    x = np.array([[big, -big, 0], [NAN, INF, -INF], [-INF] * 3, [1e-40, 0, -1e-40], [800, -800, 0]], dtype)
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        for case in CASES:
            for reduction in ("none", "sum", "mean"):
                for targets in (np.zeros(x.shape, dtype),) if case.sigmoid or case.soft else ([1, 0, 2, 1, 0],):
                    case(stablesoft, x, targets, reduction=reduction, return_grad=True)


# ---- types ----


@pytest.mark.parametrize("kind", INTEGERS)
def test_label_types(kind, dtype):
    x = X.astype(dtype)
    for function in SOFTMAX:
        expected = function(x, Y, **BOTH)
        for labels in (Y.astype(kind), Y.astype(np.dtype(kind).newbyteorder()), np.repeat(Y.astype(kind), 2)[::2]):
            for got, value in zip(function(x, labels, **BOTH), expected):
                np.testing.assert_array_equal(got, value)
    largest = np.iinfo(kind).max
    loss = softmax_cross_entropy(x, np.array([largest, 0], kind), ignore_index=int(largest), reduction="none")
    assert loss[0] == 0 and loss[1] > 0
    with pytest.raises(ValueError, match=rf"labels\[1\] is {largest}"):
        softmax_cross_entropy(x, np.array([0, largest], kind))


def test_logit_types():
    """Integers and lists are float64; float16 is computed in float32."""
    for function, targets in ((softmax_cross_entropy, Y), (sigmoid_cross_entropy, T)):
        whole = np.array([[1, -2, 3], [4, 0, -1]])
        expected = function(whole.astype(float), targets, **BOTH)
        for logits in (whole, whole.tolist(), whole.astype("int8")):
            for got, value in zip(function(logits, targets.tolist(), **BOTH), expected):
                assert got.dtype == "float64"
                np.testing.assert_array_equal(got, value)
        half = X.astype("float16")
        single = function(half.astype("float32"), targets, **BOTH)
        for got, value in zip(function(half, targets, **BOTH), single):
            assert got.dtype == "float16"
            np.testing.assert_array_equal(got, value.astype("float16"))
        assert function(half, targets).dtype == "float16"
    loss, gradient = softmax_cross_entropy([1.0, 2.0], 1, return_grad=True)
    assert isinstance(loss, np.float64) and gradient.shape == (2,)
    before = X.copy()
    softmax_cross_entropy(X, Y, return_grad=True)
    assert np.array_equal(X, before)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_other_library(case, reduction, dtype):
    """The definitions agree with the kernels; a class's own p - 1 is not what they compute."""
    xp = pytest.importorskip("array_api_strict")
    random = np.random.default_rng(5)
    x = (random.normal(size=(9, 6)) * 10.0 ** random.uniform(-2, 1.3, (9, 1))).astype(dtype)
    x[3, 2] = -30
    targets = next(iter(targets_of(case, x).values())).reshape(x.shape) if case.sigmoid else batch_of(case, x)
    expected = case(stablesoft, x, targets, reduction=reduction, return_grad=True)
    arrays = case.arrays(x.shape if case.sigmoid else 6, x.dtype)
    got = getattr(stablesoft, case.name)(
        xp.asarray(x), xp.asarray(targets), **{name: xp.asarray(array) for name, array in arrays.items()},
        **case.kwargs, reduction=reduction, return_grad=True,
    )  # fmt: skip
    for one, value in zip(got, expected):
        assert type(one) is type(xp.asarray(x)) and str(one.dtype).endswith(dtype)
        # where probabilities cancel it is good to some ulps of the larger part, here 1 or less times the weights
        loose = (16 if case.parts else 0) * np.finfo(dtype).eps
        np.testing.assert_allclose(np.asarray(one), value, rtol=64 * np.finfo(dtype).eps, atol=loose)


# ---- refusals ----

REFUSED = [
    (softmax_cross_entropy, (X, [0, 3]), {}, ValueError, r"labels\[1\] is 3.* 0 \.\.\. 2"),
    (softmax_cross_entropy, (X, [-1, 3]), {}, ValueError, r"labels\[0\] is -1"),
    (softmax_cross_entropy, (X, [-1, 3]), {"ignore_index": -1}, ValueError, r"labels\[1\] is 3"),
    (softmax_cross_entropy, (X.T, [[0, 1]]), {"axis": 0}, ValueError, "labels.* shape"),
    (softmax_cross_entropy, (np.zeros((2, 3, 1)), [[0], [9]]), {"axis": 1}, ValueError, r"labels\[1, 0\] is 9"),
    (softmax_cross_entropy, (X[0], 3), {}, ValueError, "labels is 3, which"),
    (softmax_cross_entropy, (X, [0.0, 1.0]), {}, TypeError, "labels must be integers"),
    (softmax_cross_entropy, (X, [True, False]), {}, TypeError, "labels must be integers"),
    (softmax_cross_entropy, (X, ["0", "1"]), {}, TypeError, "labels"),
    (softmax_cross_entropy, (X, [0, 1, 2]), {}, ValueError, "labels.* shape"),
    (softmax_cross_entropy, (X, np.zeros((2, 4))), {}, TypeError, "labels"),
    (softmax_cross_entropy, (X, X + 1j), {}, TypeError, "labels"),
    (softmax_cross_entropy, (X + 1j, Y), {}, TypeError, "logits must be real"),
    (softmax_cross_entropy, ("ab", Y), {}, TypeError, "logits"),
    (softmax_cross_entropy, ([[1, 2], [3]], Y), {}, TypeError, "logits"),
    (softmax_cross_entropy, (1.0, 0), {}, ValueError, "axis"),
    (softmax_cross_entropy, (X, Y), {"axis": 2}, ValueError, "axis"),
    (softmax_cross_entropy, (X, Y), {"axis": 1.0}, TypeError, "axis"),
    (softmax_cross_entropy, (X, Y), {"weight": [1, 2]}, ValueError, "weight.* 3 classes"),
    (softmax_cross_entropy, (X, Y), {"weight": 2.0}, ValueError, "weight"),
    (softmax_cross_entropy, (X, Y), {"weight": [1, 2, 3j]}, TypeError, "weight"),
    (softmax_cross_entropy, (X, Y), {"reduction": "average"}, ValueError, "reduction.*'mean'.*'average'"),
    (softmax_cross_entropy, (X, Y), {"reduction": None}, ValueError, "reduction"),
    (softmax_cross_entropy, (X, Y), {"label_smoothing": -0.1}, ValueError, "label_smoothing"),
    (softmax_cross_entropy, (X, Y), {"label_smoothing": 1.5}, ValueError, "label_smoothing"),
    (softmax_cross_entropy, (X, Y), {"label_smoothing": NAN}, ValueError, "label_smoothing"),
    (softmax_cross_entropy, (X, Y), {"label_smoothing": "0.1"}, TypeError, "label_smoothing"),
    (softmax_cross_entropy, (X, Y), {"z_loss": -1.0}, ValueError, "z_loss"),
    (softmax_cross_entropy, (X, Y), {"z_loss": INF}, ValueError, "z_loss"),
    (softmax_cross_entropy, (X, Y), {"ignore_index": 1.0}, TypeError, "ignore_index"),
    (softmax_cross_entropy, (X, Y), {"ignore_index": True}, TypeError, "ignore_index must be None or an int.* True"),
    (softmax_cross_entropy, (X, Y), {"ignore_index": np.True_}, TypeError, "ignore_index"),
    (softmax_cross_entropy, (X, X), {"ignore_index": 0}, ValueError, "ignore_index"),
    (softmax_cross_entropy, (X, Y), {"return_grad": 1}, TypeError, "return_grad"),
    (softmax_focal_loss, (X, [0, 3]), {}, ValueError, r"labels\[1\] is 3"),
    (softmax_focal_loss, (X, [0, -1]), {}, ValueError, r"labels\[1\] is -1"),
    (softmax_focal_loss, (X, [0.0, 1.0]), {}, TypeError, "labels must be integers"),
    (softmax_focal_loss, (X, [[0, 1]]), {}, ValueError, r"labels must have shape \(2,\)"),
    (softmax_focal_loss, (X, Y), {"ignore_index": False}, TypeError, "ignore_index"),
    (softmax_focal_loss, (X, Y), {"gamma": INF}, ValueError, "gamma must be finite and at least 0, not inf"),
    (softmax_focal_loss, (X, Y), {"gamma": "2"}, TypeError, "gamma"),
    (softmax_focal_loss, (X, Y), {"gamma": -1.0}, ValueError, "gamma"),
    (softmax_focal_loss, (X, Y), {"gamma": NAN}, ValueError, "gamma"),
    (softmax_focal_loss, (X, Y), {"alpha": [1, 2]}, ValueError, "alpha"),
    (softmax_focal_loss, (X, Y), {"alpha": -0.5}, ValueError, "alpha"),
    (softmax_focal_loss, ([[1.0, 2.0], [3.0]], [0, 0]), {"alpha": 0.5}, TypeError, "logits"),
    (softmax_focal_loss, ("ab", [0]), {"alpha": 0.5}, TypeError, "logits"),
    (softmax_focal_loss, (X, Y), {"reduction": "max"}, ValueError, "reduction"),
    (sigmoid_cross_entropy, (X, T[0]), {}, ValueError, "targets must have the logits' shape"),
    (sigmoid_cross_entropy, (X, T + 1j), {}, TypeError, "targets"),
    (sigmoid_cross_entropy, (X, None), {}, (TypeError, ValueError), "targets"),
    (sigmoid_cross_entropy, (X, T), {"weight": [1, 2]}, ValueError, "weight"),
    (sigmoid_cross_entropy, (X, T), {"pos_weight": np.ones((3, 2, 3))}, ValueError, "pos_weight"),
    (sigmoid_cross_entropy, (X, T), {"reduction": 3}, ValueError, "reduction"),
    (sigmoid_cross_entropy, (X, T.tolist() + [1]), {}, TypeError, "targets is not a rectangular array"),
    (sigmoid_cross_entropy, (X, T.astype(str)), {}, TypeError, "targets must be numeric"),
    (sigmoid_cross_entropy, (X, T), {"return_grad": 1}, TypeError, "return_grad"),
    (sigmoid_focal_loss, (X, T.T), {}, ValueError, "targets must have the logits' shape"),
    (sigmoid_focal_loss, (X, T), {"reduction": "average"}, ValueError, "reduction must be one of"),
    (sigmoid_focal_loss, (X, T), {"gamma": -1e-9}, ValueError, "gamma"),
    (sigmoid_focal_loss, (X, T), {"alpha": 1.5}, ValueError, "alpha"),
    (sigmoid_focal_loss, (X, T), {"alpha": [0.5]}, TypeError, "alpha"),
    (sigmoid_focal_loss, (X, T), {"return_grad": None}, TypeError, "return_grad"),
]


@pytest.mark.parametrize(("function", "args", "options", "error", "message"), REFUSED)
def test_refusals(function, args, options, error, message):
    """One clear error that names the argument and, for a label, the first bad position."""
    narrow = tuple(a.astype("float32") if isinstance(a, np.ndarray) and a.dtype == float else a for a in args)
    for arrays in (args, narrow):
        with pytest.raises(error, match=message):
            function(*arrays, **options)
