"""Caffe's loss layers against a model of them in Decimal, and the settings and properties of Caffe's own tests."""

import itertools
import math

import numpy as np
import pytest

import stablesoft
from cases import DTYPES, ROW_NAMES, rows
from exact import worst
from exact_caffe import CAP, exact_sigmoid_cross_entropy_loss, exact_softmax_with_loss, upstream_batch
from stablesoft import caffe

BOUND = 4  # ulp
HARD = [(dtype, name) for dtype in DTYPES for name in ROW_NAMES[dtype] if rows(dtype)[name].size <= 1000]
MODES = (None, "FULL", "valid", "Batch_Size", "none")
WEIGHTS = (1.0, 3.7, -0.125, 0.0)
OPTIONS = [
    {"normalization": mode, "normalize": flag} for mode, flag in itertools.product(MODES, (None, True, False))
]  # fmt: skip


def assert_close(got, exact, dtype, what=""):
    assert np.asarray(got).dtype == dtype
    error, place = worst(got, exact, dtype)
    assert error <= BOUND, f"{what}: {error:.2f} ulp at {place}"


def check_softmax(data, label, **options):
    """Loss, probabilities and gradient against the model."""
    loss, prob, grad = caffe.softmax_with_loss(data, label, return_prob=True, return_grad=True, **options)
    expected = exact_softmax_with_loss(np.asarray(data), np.asarray(label), **options)
    dtype = data.dtype
    assert prob.shape == grad.shape == data.shape
    assert_close(loss, [expected[0]], dtype, f"loss {options}")
    for name, got, exact in (("prob", prob, expected[1]), ("grad", grad, expected[2])):
        assert_close(got, [exact[place] for place in np.ndindex(data.shape)], dtype, f"{name} {options}")
    return loss, prob, grad


def check_sigmoid(data, target, **options):
    """Loss and gradient against the model; an element of the gradient in ulps of its larger part."""
    loss, grad = caffe.sigmoid_cross_entropy_loss(data, target, return_grad=True, **options)
    expected = exact_sigmoid_cross_entropy_loss(np.asarray(data), np.asarray(target), **options)
    assert grad.shape == data.shape and grad.dtype == data.dtype
    assert_close(loss, [expected[0]], data.dtype, f"loss {options}")
    for got, exact, part in zip(grad.ravel().tolist(), *expected[1:], strict=True):
        if exact == part or part == 0:
            assert_close(np.asarray(got, data.dtype), [exact], data.dtype, f"grad {options}")
        else:
            spacing = np.spacing(np.abs(np.asarray(part, data.dtype)))
            assert abs(got - float(exact)) <= BOUND * float(spacing), options
    return loss, grad


@pytest.fixture
def random():
    return np.random.default_rng(1701)


# ---- SoftmaxWithLoss -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2, -3, -4])
@pytest.mark.parametrize("ignore_label", [None, 1, -3, 255])
def test_softmax_every_option(axis, ignore_label, dtype, random):
    """Every axis, normalization and old flag; ignored labels may lie inside and outside the classes."""
    data = random.normal(0, 3, (3, 3, 2, 4)).astype(dtype)
    label = random.integers(0, data.shape[axis], tuple(np.delete(data.shape, axis)))
    if ignore_label is not None:
        label.flat[::4] = ignore_label
    counted = np.sum(label != ignore_label)
    assert 0 < counted and (ignore_label is None) == (counted == label.size)
    for options, loss_weight in zip(OPTIONS, itertools.cycle(WEIGHTS)):
        check_softmax(data, label, axis=axis, ignore_label=ignore_label, loss_weight=loss_weight, **options)


def test_softmax_normalization_rules(random):
    """`normalization` wins over `normalize`; False is "batch_size" and not "none"; nothing is "valid"."""
    data, label = random.normal(size=(4, 3, 5)), random.integers(0, 3, (4, 5))
    label[0, :3] = -1
    total = caffe.softmax_with_loss(data, label, ignore_label=-1, normalization="none")

    def divisor(**options):
        return float(total / caffe.softmax_with_loss(data, label, ignore_label=-1, **options))

    assert divisor() == divisor(normalize=True) == divisor(normalization="VALID", normalize=False) == pytest.approx(17)
    assert divisor(normalize=False) == divisor(normalization="BATCH_SIZE", normalize=True) == pytest.approx(4)
    assert divisor(normalization="FULL", normalize=False) == pytest.approx(20)
    moved = caffe.softmax_with_loss(np.moveaxis(data, 1, 2), label, axis=2, ignore_label=-1, normalize=False)
    assert float(total / moved) == pytest.approx(20)  # all dimensions before the axis


def test_label_layouts(dtype, random):
    """Any shape with the first dimension of the data: label i * inner + j belongs to outer place i, inner place j."""
    data = random.normal(0, 3, (2, 4, 3, 5)).astype(dtype)
    label = random.integers(0, 4, (2, 3, 5))
    expected = check_softmax(data, label)
    strided = np.empty((2, 3, 10), dtype="int16")[:, :, ::2]
    strided[...] = label
    for one in (label[:, None], label.reshape(2, 15), label.reshape(2, 5, 3), label.reshape(2, 1, 15, 1),
                np.asfortranarray(label), strided, label.tolist(), label.astype("float32"), label.astype("uint64"),
                label.astype("float16"), label.astype(">i4")):  # fmt: skip
        got = caffe.softmax_with_loss(data, one, return_prob=True, return_grad=True)
        for value, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(value, other)


def test_fractions_are_cut_off_toward_zero(dtype, random):
    data = random.normal(0, 3, (5, 3)).astype(dtype)
    label = np.array([-0.5, 1.9, 2.0, 0.999, -1.99])
    loss, *_ = check_softmax(data, label, ignore_label=-1)
    assert loss == caffe.softmax_with_loss(data, [0, 1, 2, 0, -1], ignore_label=-1)
    check_softmax(data, label[:4].astype("float32").repeat(2)[:5], ignore_label=0)


@pytest.mark.parametrize("normalization", MODES)
def test_everything_ignored(normalization, dtype):
    data = np.array([[1, math.nan, -math.inf], [math.inf, 2, 3]], dtype)
    for label in ([7, 7], [7.9, 7.0]):
        loss, prob, grad = caffe.softmax_with_loss(
            data, label, ignore_label=7, normalization=normalization, return_prob=True, return_grad=True
        )
        assert loss == 0 and not grad.any()
        np.testing.assert_array_equal(prob, stablesoft.softmax(data, axis=1))
    loss, grad = caffe.sigmoid_cross_entropy_loss(
        data, np.full((2, 3), 7.5), ignore_label=7, normalization=normalization, return_grad=True, loss_weight=1e30
    )
    assert loss == 0 and not grad.any()


def test_ignored_places(dtype, random):
    """No loss and a gradient of exactly 0, also beside NaN; the probabilities are there all the same."""
    data, label = upstream_batch(random, dtype)
    _, prob, grad = check_softmax(data, label, ignore_label=2, loss_weight=-3)
    ignored = np.broadcast_to(label == 2, data.shape)
    assert ignored.any() and not grad[ignored].any() and grad[~ignored].all()
    np.testing.assert_array_equal(prob, stablesoft.softmax(data, axis=1))
    spoilt = np.where(ignored, np.array(math.nan, dtype), data)
    loss, again = caffe.softmax_with_loss(spoilt, label, ignore_label=2, loss_weight=-3, return_grad=True)
    assert loss == caffe.softmax_with_loss(data, label, ignore_label=2)
    np.testing.assert_array_equal(again, grad)


def test_ignored_before_the_bounds():
    data = np.zeros((2, 3))
    assert caffe.softmax_with_loss(data, [0, 255], ignore_label=255) == pytest.approx(math.log(3))
    assert caffe.softmax_with_loss(data, [0, -1.5], ignore_label=-1) == pytest.approx(math.log(3))
    assert caffe.softmax_with_loss(data, [0, -(2.0**31)], ignore_label=-(2**31)) == pytest.approx(math.log(3))


def test_cap(dtype):
    """One place costs at most 126 ln 2, in float64 too; the gradient there keeps its full strength."""
    edge = float(CAP)
    label = [1, 1, 1, 1]
    data = np.array([[0, -100], [0, -math.inf], [0, -edge * 0.999], [1e30, -1e30]], dtype)
    loss, _, grad = check_softmax(data, label, normalization="NONE")
    assert loss == pytest.approx(edge * 3.999, rel=1e-6)
    np.testing.assert_array_equal(grad, np.array([[1, -1]] * 4, dtype))
    assert caffe.softmax_with_loss(data[:1], label[:1]) == np.dtype(dtype).type(edge)
    check_softmax(data[[0, 2, 3]], label[1:], clamp=False)
    assert caffe.softmax_with_loss(data[:1], label[:1], clamp=False) == 100
    assert caffe.softmax_with_loss(data, label, clamp=False) == math.inf
    assert math.isnan(caffe.softmax_with_loss(np.full((1, 2), -math.inf, dtype), [0]))
    assert math.isnan(caffe.softmax_with_loss(np.array([[math.nan, 0]], dtype), [1]))


def test_loss_weight_is_of_the_gradient_alone(dtype, random):
    data, label = upstream_batch(random, dtype)
    plain, slope = caffe.softmax_with_loss(data, label, return_grad=True)
    for factor in (2.0, -0.5, 0.0, 1024):
        loss, grad = caffe.softmax_with_loss(data, label, loss_weight=factor, return_grad=True)
        assert loss == plain
        np.testing.assert_array_equal(grad, slope * np.dtype(dtype).type(factor))
    target = random.uniform(size=data.shape).astype(dtype)
    plain, slope = caffe.sigmoid_cross_entropy_loss(data, target, return_grad=True)
    loss, grad = caffe.sigmoid_cross_entropy_loss(data, target, loss_weight=-4, return_grad=True)
    assert loss == plain
    np.testing.assert_array_equal(grad, slope * -4)


@pytest.mark.parametrize("dtype, name", HARD)
def test_softmax_hard_rows(dtype, name):
    """The rows that the reductions are tested with, for labels at the peak, at the lowest and in between."""
    row = rows(dtype)[name]
    order = np.argsort(row)
    label = order[[-1, 0, len(row) // 2]]
    data = np.stack([row] * 3)
    check_softmax(data, label, loss_weight=3.7)
    if not row.max() / 2 - row.min() / 2 > np.finfo(dtype).max / 2:  # the loss of one place does not overflow
        check_softmax(data, label, clamp=False, normalization="full")


def test_upstream_softmax_ignores_each_label_once(random, dtype):
    """Each label is ignored once in five runs, so the losses without it add up to 4 times the whole loss."""
    data, label = upstream_batch(random, dtype)
    whole = float(caffe.softmax_with_loss(data, label, normalize=False))
    parts = [float(caffe.softmax_with_loss(data, label, normalize=False, ignore_label=i)) for i in range(5)]
    assert sum(parts) == pytest.approx(4 * whole, rel=1e-15 if dtype == "float64" else 1e-6)
    assert len(set(parts)) == 5


@pytest.mark.parametrize("options", [{"loss_weight": 3.0}, {"ignore_label": 0}, {"normalize": False}], ids=str)
def test_upstream_softmax_gradient(options, random):
    """Central differences, with Caffe's step; and the model, which knows every digit."""
    data, label = upstream_batch(random)
    _, _, grad = check_softmax(data, label, **options)
    step, factor = 1e-2, options.get("loss_weight", 1.0)
    for place in itertools.islice(np.ndindex(data.shape), 0, None, 7):
        shift = np.zeros_like(data)
        shift[place] = step
        up, down = (caffe.softmax_with_loss(data + sign * shift, label, **options) for sign in (1, -1))
        assert grad[place] == pytest.approx(factor * (up - down) / (2 * step), abs=1e-4 * factor)


def test_parity_with_softmax_cross_entropy(dtype, random):
    """Without the cap "valid" is the mean of today's loss where any label counts, and "none" its sum: same bits."""
    data, label = upstream_batch(random, dtype)
    for ignored in (None, 3):
        for mode, reduction in (("valid", "mean"), ("none", "sum")):
            got = caffe.softmax_with_loss(
                data, label, ignore_label=ignored, normalization=mode, clamp=False, return_grad=True
            )
            expected = stablesoft.softmax_cross_entropy(
                data, label[:, 0], axis=1, ignore_index=ignored, reduction=reduction, return_grad=True
            )
            for value, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(value, other)


# ---- SigmoidCrossEntropyLoss ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ignore_label", [None, 0, 1, -1, 255])
def test_sigmoid_every_option(ignore_label, dtype, random):
    data = random.normal(0, 3, (4, 3, 2)).astype(dtype)
    target = random.choice(np.array([0, 1, 0.25, 1, 0, 1e-3], dtype), data.shape)
    target.flat[::5] = -1.5 if ignore_label == -1 else 1.75 if ignore_label == 1 else (ignore_label or 0)
    for options, loss_weight in zip(OPTIONS, itertools.cycle(WEIGHTS)):
        check_sigmoid(data, target, ignore_label=ignore_label, loss_weight=loss_weight, **options)


def test_sigmoid_normalization_rules(random):
    """`normalization` wins; False and nothing are "batch_size"."""
    data, target = random.normal(size=(4, 3, 5)), random.integers(0, 2, (4, 3, 5)).astype(float)
    target[0, 0] = -1
    total = caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=-1, normalization="none")

    def divisor(**options):
        return float(total / caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=-1, **options))

    assert divisor() == divisor(normalize=False) == divisor(normalization="batch_SIZE", normalize=True)
    assert divisor() == pytest.approx(4)
    assert divisor(normalize=True) == divisor(normalization="valid", normalize=False) == pytest.approx(55)
    assert divisor(normalization="full") == pytest.approx(60)


def test_sigmoid_ignores_what_its_integer_part_says(dtype):
    """0 leaves out the open interval (-1, 1), 1 leaves out [1, 2), -1 leaves out (-2, -1]; NaN has no integer part."""
    target = np.array([[-2, -1.5, -1, -0.75, 0, 0.5, 1, 1.5, 2]], dtype)
    data = np.full(target.shape, 0.25, dtype)
    for ignored, places in ((0, [3, 4, 5]), (1, [6, 7]), (-1, [1, 2]), (2, [8]), (-2, [0]), (3, [])):
        _, grad = caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=ignored, return_grad=True)
        assert np.flatnonzero(grad[0] == 0).tolist() == places
    target[0, 0] = math.nan
    for ignored in (None, 0, -1, -2, -(2**31)):
        assert math.isnan(caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=ignored))


@pytest.mark.parametrize("ignored, places", [(2**24, [0]), (2**24 + 1, []), (2**31 - 1, []), (-(2**31), [3])])
def test_sigmoid_ignores_no_rounded_label(ignored, places):
    """float32 holds 2^24 and 2^24 + 2 but not the number between them: no target is that one."""
    target = np.array([[2.0**24, 2.0**24 + 2, 2.0**31, -(2.0**31), math.inf, math.nan]], "float32")
    _, grad = caffe.sigmoid_cross_entropy_loss(np.ones(target.shape), target, ignore_label=ignored, return_grad=True)
    assert np.flatnonzero(grad[0] == 0).tolist() == places


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_sigmoid_hard_logits(t, dtype):
    """Losses and gradients of every size, one at a time; Caffe's are 0 beyond 16.6 or 36.7."""
    spread = np.geomspace(1e-30, 90 if dtype == "float32" else 740, 60)
    for x in np.concatenate([-spread, [0.0], spread]).astype(dtype):
        check_sigmoid(np.array([[x]]), np.array([[t]], dtype), loss_weight=3.7)


def test_sigmoid_infinities(dtype):
    data = np.array([[math.inf, -math.inf]], dtype)
    loss, grad = caffe.sigmoid_cross_entropy_loss(data, [[1, 0]], return_grad=True)
    assert loss == 0 and not grad.any()
    loss, grad = caffe.sigmoid_cross_entropy_loss(data, [[0, 1]], return_grad=True)
    assert loss == math.inf and grad.tolist() == [[1, -1]]


def test_sigmoid_beyond_probabilities(dtype, random):
    """Targets are not held to [0, 1]: Caffe's formula goes on, and a term may be negative."""
    data = random.uniform(1, 4, (5, 3)).astype(dtype)
    for low, high in ((-3, -1), (2, 5)):
        check_sigmoid(data, random.uniform(low, high, data.shape).astype(dtype))
        check_sigmoid(-data, random.uniform(low, high, data.shape).astype(dtype))


def test_upstream_sigmoid_forward(random):
    """A hundred trials against the naive formula."""
    for _ in range(100):
        data, target = random.normal(size=(10, 5, 1, 1)), random.uniform(size=(10, 5, 1, 1))
        p = 1 / (1 + np.exp(-data))
        naive = -np.sum(target * np.log(p) + (1 - target) * np.log(1 - p)) / 10
        assert caffe.sigmoid_cross_entropy_loss(data, target, loss_weight=3.7) == pytest.approx(naive, rel=1e-13)


def test_upstream_sigmoid_gradient(random, dtype):
    data, target = random.normal(size=(10, 5, 1, 1)), random.uniform(size=(10, 5, 1, 1))
    check_sigmoid(data.astype(dtype), target.astype(dtype), loss_weight=3.7)


def test_upstream_sigmoid_ignores_the_first_half(random, dtype):
    data = random.normal(size=(10, 5, 1, 1)).astype(dtype)
    target = random.uniform(size=data.shape).astype(dtype)
    target[:5] = -1
    _, grad = check_sigmoid(data, target, ignore_label=-1)
    assert not grad[:5].any() and grad[5:].all()
    data[:5] = math.nan
    _, again = caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=-1, return_grad=True)
    np.testing.assert_array_equal(again, grad)


def test_parity_with_sigmoid_cross_entropy(dtype, random):
    data, target = random.normal(size=(2, 6, 5)).astype(dtype), random.integers(0, 2, (6, 5)).astype(dtype)
    for mode, reduction in (("full", "mean"), ("valid", "mean"), ("none", "sum")):
        got = caffe.sigmoid_cross_entropy_loss(data[0], target, normalization=mode, return_grad=True)
        expected = stablesoft.sigmoid_cross_entropy(data[0], target, reduction=reduction, return_grad=True)
        for value, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("label", [0, 1, -1, 7, -8, 2**23, 1 - 2**23, 2**24, 2**24 + 1, -(2**24), 2**31 - 1, -(2**31)])
def test_ignored_targets_without_their_fraction(label, dtype):
    """Exactly the targets that are the label once truncated, next to it and where the type has no fractions left."""
    kind = np.dtype(dtype).type
    near = [kind(label + step) for step in (-2, -1, -0.5, 0, 0.5, 1, 2)]
    target = np.unique([near, np.nextafter(near, kind(math.inf)), np.nextafter(near, kind(-math.inf))])
    target = np.append(target, kind(math.nan))
    expected = [not math.isnan(t) and math.trunc(t) == label for t in target.tolist()]
    _, grad = caffe.sigmoid_cross_entropy_loss(np.ones_like(target), target, ignore_label=label, return_grad=True)
    np.testing.assert_array_equal(grad == 0, expected)
