"""Laws of the losses: differences, shifts, duality, options that change nothing, permutations, layouts."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_identities import grid_and_shift, same_bits, unit
from test_losses import batch_of
from test_reproducibility import assert_same_bits, hard_matrix, layouts

import stablesoft
import strategies
from exact import context, ulp
from exact_losses import exact_sigmoid_loss, exact_softmax_loss
from loss_cases import CASES, SOFTMAX, targets_of, weights
from stablesoft import sigmoid_cross_entropy, sigmoid_focal_loss, softmax_cross_entropy, softmax_focal_loss

BOTH = {"reduction": "none", "return_grad": True}
EXACT_OPTIONS = [
    {},
    {"weight": (0.5, 3.0, 1.25, 0.1)},
    {"smoothing": 0.2},
    {"z_loss": 0.3, "smoothing": 0.2, "weight": (0.5, 3.0, 1.25, 0.1)},
    {"gamma": 2.0},
    {"gamma": 0.5, "weight": (0.5, 3.0, 1.25, 0.1)},
]


@pytest.mark.parametrize("options", EXACT_OPTIONS, ids=str)
@pytest.mark.parametrize("soft", [False, True])
def test_exact_gradient(options, soft):
    """The formula of the exact gradient against differences of the exact loss; doubles hold the steps exactly."""
    step = 2.0**-30
    kind = {"probabilities": (0.125, 0.5, 0.0, 0.375)} if soft else {"label": 2}
    for row in ([0.5, -1.0, 2.0, 0.25], [3.0, 3.0, -8.0, 0.0], [0.0, -20.0, 30.0, 1.0]):
        exact = exact_softmax_loss(row, **kind, **options)
        for i, slope in enumerate(exact.gradient):
            up, down = ([*row[:i], row[i] + s, *row[i + 1 :]] for s in (step, -step))
            costs = [exact_softmax_loss(moved, **kind, **options).loss for moved in (up, down)]
            quotient = context(60).subtract(*costs) / Decimal(2 * step)
            assert abs(quotient - slope) <= Decimal("1e-15") * max(1, abs(slope)), (row, i)  # step^2 times a few


@pytest.mark.parametrize("options", [{}, {"gamma": 2.0}, {"gamma": 0.5, "alpha": 0.25}], ids=str)
@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_exact_sigmoid_gradient(options, target):
    step = 2.0**-30
    for x in (-20.0, -1.0, 0.0, 0.5, 25.0):
        (slope,) = exact_sigmoid_loss(x, target, 2.0, 1.5, **options).gradient
        costs = [exact_sigmoid_loss(x + s, target, 2.0, 1.5, **options).loss for s in (step, -step)]
        assert abs(context(60).subtract(*costs) / Decimal(2 * step) - slope) <= Decimal("1e-15") * max(1, abs(slope))


@st.composite
def labelled(draw, most=12):
    """A row without infinities and a label for it."""
    row = draw(strategies.finite_rows(draw(st.sampled_from(["float32", "float64"])), most))
    return row, draw(st.integers(0, row.size - 1))


@settings(max_examples=60)
@given(labelled(30))
def test_gradient_sums_to_zero(drawn):
    row, label = drawn
    for _, gradient in (
        softmax_cross_entropy(row, label, **BOTH),
        softmax_cross_entropy(row, label, label_smoothing=0.25, **BOTH),
        softmax_focal_loss(row, label, **BOTH),
    ):
        total = abs(sum(map(Fraction, gradient.tolist())))
        # 4 ulp of each element; with smoothing of max(p, t), which sum to 2
        limit = 4 * sum(unit(g, row.dtype) for g in gradient) + 8 * Fraction(float(np.finfo(row.dtype).eps))
        assert total <= limit
    gradient = softmax_cross_entropy(row, label, **BOTH)[1]
    assert abs(sum(map(Fraction, gradient.tolist()))) <= sum(unit(g, row.dtype) for g in gradient)


@settings(max_examples=60)
@given(grid_and_shift(), st.integers(0, 99))
def test_shift(drawn, place):
    dtype, row, shift = drawn
    label = place % row.size
    here, there = (softmax_cross_entropy(x.astype(dtype), label, **BOTH) for x in (row, row + shift))
    for a, b in zip([here[0], *here[1]], [there[0], *there[1]], strict=True):
        assert abs(Fraction(float(a)) - Fraction(float(b))) <= 2 * max(unit(a, dtype), unit(b, dtype))


@settings(max_examples=60)
@given(st.floats(-800, 800, width=32), st.integers(0, 64))
def test_duality(x, sixtyfourths):
    """BCE(x, t) = BCE(-x, 1 - t), the gradient with the other sign; t and 1 - t are exact."""
    t = sixtyfourths / 64
    for dtype in ("float32", "float64"):
        for function in (sigmoid_cross_entropy, sigmoid_focal_loss):
            one = function(np.array([x], dtype), np.array([t], dtype), **BOTH)
            other = function(np.array([-x], dtype), np.array([1 - t], dtype), **BOTH)
            same_bits(one[0], other[0])
            same_bits(one[1] + 0, 0 - other[1])


@settings(max_examples=60)
@given(st.floats(-700, 700, width=32))
def test_two_classes(x):
    """Softmax of (0, x) is the sigmoid of x."""
    for dtype in ("float32", "float64"):
        two = np.array([0.0, x], dtype)
        for label in (0, 1):
            loss, gradient = softmax_cross_entropy(two, label, **BOTH)
            item, slope = sigmoid_cross_entropy(two[1:], [label], **BOTH)
            for a, b in ((loss, item[0]), (gradient[1], slope[0])):
                assert abs(Fraction(float(a)) - Fraction(float(b))) <= 2 * max(unit(a, dtype), unit(b, dtype))


def assert_same(one, other, what=""):
    for part, a, b in zip(("loss", "gradient"), one, other, strict=True):
        assert_same_bits(a, b, f"{what}, {part}")


@pytest.mark.parametrize("n", [1, 2, 10, 33, 4100])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_options_that_change_nothing(n, reduction, dtype):
    x = hard_matrix(dtype, 21, n)
    y = np.random.default_rng(n).integers(0, n, 21)
    how = {"reduction": reduction, "return_grad": True}
    plain = softmax_cross_entropy(x, y, **how)
    for options in (
        {"weight": np.ones(n)},
        {"label_smoothing": 0},
        {"z_loss": 0},
        {"ignore_index": -100},
        {"ignore_index": 2**70},
    ):
        assert_same(softmax_cross_entropy(x, y, **options, **how), plain, options)
    assert_same(softmax_focal_loss(x, y, gamma=0.0, **how), plain, "gamma = 0")
    assert_same(softmax_focal_loss(x, y, gamma=0, alpha=1, **how), plain, "alpha = 1")
    one_hot = (np.arange(n) == y[:, None]).astype(dtype)
    assert_same(softmax_cross_entropy(x, one_hot, **how), plain, "one-hot")
    t = one_hot.ravel()
    logits = x.ravel()
    plain = sigmoid_cross_entropy(logits, t, **how)
    for options in ({"weight": 1.0}, {"pos_weight": 1}, {"weight": np.ones(t.size), "pos_weight": [1.0]}):
        assert_same(sigmoid_cross_entropy(logits, t, **options, **how), plain, options)


@pytest.mark.parametrize("n", [2, 10, 40])
def test_ignored_rows_are_no_rows(n, dtype):
    """Whatever stands in them."""
    random = np.random.default_rng(n)
    x = random.normal(0, 3, (31, n)).astype(dtype)
    y = random.integers(0, n, 31)
    leave = random.random(31) < 0.3
    x[leave] = np.where(random.random((leave.sum(), n)) < 0.5, np.nan, np.inf)
    y[leave] = -7
    for function in (softmax_cross_entropy, softmax_focal_loss):
        for reduction in ("mean", "sum"):
            loss, gradient = function(x, y, ignore_index=-7, reduction=reduction, return_grad=True)
            kept = function(x[~leave], y[~leave], reduction=reduction, return_grad=True)
            assert_same((loss, gradient[~leave]), kept, reduction)
            assert not gradient[leave].any()
        items = function(x, y, ignore_index=-7, reduction="none")
        assert not items[leave].any()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("n", [3, 10, 40])
def test_layouts_and_order(case, n, dtype):
    """Items and gradients are the bits of a row alone, in any layout and order; sums those of any order."""
    x = hard_matrix(dtype, 29, n)
    x[np.isneginf(x)] = -3
    targets = batch_of(case, x).reshape(x.shape) if case.sigmoid else batch_of(case, x)
    if case.weights and case.sigmoid:
        given = case.arrays(x.shape, x.dtype)
        call = lambda x, t, axis, order=slice(None), **how: getattr(stablesoft, case.name)(  # noqa: E731
            x, t, **{k: np.moveaxis(v[order], 1, axis) for k, v in given.items()}, **case.kwargs, **how
        )
    else:
        call = lambda x, t, axis, order=slice(None), **how: case(stablesoft, x, t, axis=axis, **how)  # noqa: E731, ARG005
    expected = call(x, targets, 1, **BOTH)
    assert_same_bits(call(x, targets, 1, reduction="none"), expected[0], "without the gradient")
    sums = [call(x, targets, 1, reduction=how, return_grad=True) for how in ("sum", "mean")]
    if not case.sigmoid:
        alone = [case(stablesoft, row.copy(), t, **BOTH) for row, t in zip(x, targets)]
        assert_same([np.stack(part) for part in zip(*alone)], expected, "row by row")
    order = np.random.default_rng(3).permutation(29)
    assert_same(call(x[order], targets[order], 1, order, **BOTH), [part[order] for part in expected], "order")
    for how, (loss, gradient) in zip(("sum", "mean"), sums):
        got = call(x[order], targets[order], 1, order, reduction=how, return_grad=True)
        assert_same(got, (loss, gradient[order]), how)
    kept = targets.ndim == 2
    for (name, array, axis), (_, other, _) in zip(layouts(x), layouts(targets if kept else x)):
        got = call(array, np.moveaxis(targets, 1, axis) if kept else targets, axis, **BOTH)
        back = np.moveaxis(got[0], axis, 1) if case.sigmoid else got[0]
        assert_same((back, np.moveaxis(got[1], axis, 1)), expected, name)
        if kept:
            got = call(np.moveaxis(x, 1, axis), other, axis, **BOTH)
            back = np.moveaxis(got[0], axis, 1) if case.sigmoid else got[0]
            assert_same((back, np.moveaxis(got[1], axis, 1)), expected, f"targets {name}")


def mixed_elements(dtype, n):
    """Logits and targets of which most take the short way of sigmoid losses, and some the general one."""
    random = np.random.default_rng(n)
    info = np.finfo(dtype)
    special = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 300.5, -300.5, 745.0, -745.0, info.max, -info.max, 1e-300])
    outside = np.array([-0.5, 1.5, -info.smallest_subnormal, 1 + info.eps, np.nan, -0.0, info.smallest_subnormal, 3.0])
    x, t = random.normal(0, 4, n), random.choice([0.0, 1.0, 0.5, *random.random(4)], n)
    x, t = np.where(random.random(n) < 0.1, random.choice(special, n), x), t.astype(dtype)
    with np.errstate(under="ignore"):
        return x.astype(dtype), np.where(random.random(n) < 0.1, random.choice(outside.astype(dtype), n), t)


@pytest.mark.parametrize("n", [1, 7, 33, 511, 512, 513, 1500])
def test_elements_beside_any_others(n, dtype):
    """An element's bits are its own: whatever stands beside it, at any step, weights or none, aligned or not."""
    x, t = mixed_elements(dtype, n)
    expected = sigmoid_cross_entropy(x, t, **BOTH)
    alone = [sigmoid_cross_entropy(x[i : i + 1].copy(), t[i : i + 1].copy(), **BOTH) for i in range(n)]
    assert_same([np.concatenate(part) for part in zip(*alone)], expected, "alone")
    plain = (np.abs(x) < 300) & (t >= 0) & (t <= 1)
    gathered = sigmoid_cross_entropy(x[plain], t[plain], **BOTH)
    assert_same(gathered, [part[plain] for part in expected], "without the special ones")
    assert_same_bits(sigmoid_cross_entropy(x, t, reduction="none"), expected[0], "no gradient")
    back = sigmoid_cross_entropy(np.repeat(x, 2)[::-2], np.repeat(t, 3)[::-3], **BOTH)
    assert_same([part[::-1] for part in back], expected, "steps")
    odd = np.frombuffer(b"0" + x.tobytes(), dtype=np.dtype(dtype), offset=1)
    assert_same(sigmoid_cross_entropy(odd, t, **BOTH), expected, "not aligned")
    some = np.where(np.arange(n) % 3 == 0, 2, 1).astype(dtype)
    for name in ("weight", "pos_weight"):
        got = sigmoid_cross_entropy(x, t, **{name: some}, **BOTH)
        assert_same([part[some == 1] for part in got], [part[some == 1] for part in expected], name)


def test_ends_of_the_short_way(dtype):
    """Infinite logits that agree cost nothing; sigma(0) is 1/2; targets a step outside [0, 1] differ by a step."""
    zero = sigmoid_cross_entropy(np.array([-np.inf, np.inf], dtype), np.array([0, 1], dtype), **BOTH)
    assert not zero[0].any() and not zero[1].any()
    wrong = sigmoid_cross_entropy(np.array([-np.inf, np.inf], dtype), np.array([1, 0], dtype), **BOTH)
    assert np.array_equal(wrong[0], [np.inf, np.inf]) and np.array_equal(wrong[1], [-1, 1])
    half = sigmoid_cross_entropy(np.zeros(20, dtype), np.full(20, 0.5, dtype), return_grad=True)
    assert half[0] == np.log(np.dtype(dtype).type(2)) and not half[1].any()
    info = np.finfo(dtype)
    x = np.random.default_rng(2).normal(0, 9, 200).astype(dtype)
    for edge, step in ((0, info.smallest_subnormal), (1, info.eps)):
        inside, beyond = (np.full(200, value, dtype) for value in (edge, edge + (step if edge else -step)))
        one, other = (sigmoid_cross_entropy(x, t, **BOTH) for t in (inside, beyond))
        np.testing.assert_allclose(other[0], one[0], rtol=2 * info.eps, atol=2 * float(step) * np.abs(x).max())
        np.testing.assert_allclose(other[1], one[1], rtol=2 * info.eps, atol=2 * float(step))


@pytest.mark.parametrize("case", SOFTMAX, ids=lambda case: case.id)
def test_infinite_rows_without_gradient(case, dtype):
    for row in ([np.inf, 0, 1, 2], [np.inf, 0, np.inf, -np.inf], [np.nan, np.inf, 0, 1], [-np.inf] * 4):
        x = np.tile(np.array(row, dtype), (70, 1))
        targets = batch_of(case, np.nan_to_num(x, posinf=5, neginf=-5))
        expected = case(stablesoft, x, targets, **BOTH)[0]
        assert_same_bits(case(stablesoft, x, targets, reduction="none"), expected, str(row))


@pytest.mark.parametrize("case", SOFTMAX, ids=lambda case: case.id)
def test_elements_in_any_order(case, dtype):
    """A permutation of the classes, with their weights, permutes the gradient and leaves the loss."""
    random = np.random.default_rng(6)
    for n in (5, 40, 5000):
        x = random.normal(0, 3, n).astype(dtype)
        w = weights(n, dtype)
        order = random.permutation(n)
        label = int(random.integers(n))
        t = random.random(n).astype(dtype) if case.soft else label
        moved = t[order] if case.soft else int(np.argmax(order == label))
        function, name = getattr(stablesoft, case.name), (case.weights or (None,))[0]
        loss, gradient = function(x, t, **({name: w} if name else {}), **case.kwargs, **BOTH)
        again = function(x[order], moved, **({name: w[order]} if name else {}), **case.kwargs, **BOTH)
        assert_same(again, (loss, gradient[order]), n)


@pytest.mark.parametrize("size", [3, 31, 200])
def test_infinite_rows_in_any_order(size):
    """Probabilities of a row with +inf are added without rounding, too."""
    random = np.random.default_rng(size)
    row, target = random.normal(size=size), random.random(size)
    row[[0, 2]] = np.inf
    for options in ({}, {"label_smoothing": 0.1}, {"weight": np.full(size, 0.7)}):
        loss, slopes = stablesoft.softmax_cross_entropy(row[None], target[None], return_grad=True, **options)
        for _ in range(10):
            order = random.permutation(size)
            again, moved = stablesoft.softmax_cross_entropy(
                row[order][None], target[order][None], return_grad=True, **options
            )
            assert again == loss and np.array_equal(moved[0], slopes[0][order])


def test_unit_of_laws():
    """`unit` is the spacing, so that the limits above are not loose by accident."""
    assert unit(1.0, "float64") == ulp(Decimal(1), "float64") == Fraction(1, 2**52)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_doors(case, reduction, dtype):
    """A call that the compiled door hands back, for an option that is no Python object, has the same bits."""
    x = np.random.default_rng(4).normal(0, 3, (9, 6)).astype(dtype)
    targets = next(iter(targets_of(case, x).values())).reshape(x.shape) if case.sigmoid else batch_of(case, x)
    handed_back = {"return_grad": np.True_} if case.sigmoid else {"return_grad": True, "axis": np.int64(1)}
    for value, other in zip(
        case(stablesoft, x, targets, reduction=reduction, return_grad=True),
        case(stablesoft, x, targets, reduction=reduction, **handed_back),
        strict=True,
    ):
        assert value.dtype == dtype and type(value) is type(other)
        np.testing.assert_array_equal(value, other)


def test_doors_with_factors(dtype):
    """One factor for all, an array of the same number, and a list of it; weights in other shapes and strides."""
    random = np.random.default_rng(4)
    x, y = random.normal(0, 3, (9, 6)).astype(dtype), random.integers(0, 6, 9)
    t = (x > 0).astype(dtype)

    def alike(function, targets, *options):
        results = [function(x, targets, reduction="none", return_grad=True, **one) for one in options]
        for result in results[1:]:
            for value, other in zip(result, results[0], strict=True):
                np.testing.assert_array_equal(value, other)

    alpha = random.random(12).astype(dtype)[::2]
    alike(stablesoft.softmax_focal_loss, y, {"alpha": 0.3}, {"alpha": np.full(6, 0.3, dtype)}, {"alpha": [0.3] * 6})
    alike(stablesoft.softmax_focal_loss, y, {"alpha": alpha}, {"alpha": alpha.copy()}, {"alpha": alpha.tolist()})
    alike(stablesoft.softmax_cross_entropy, y, {"weight": alpha}, {"weight": alpha.astype("longdouble")})
    alike(stablesoft.sigmoid_focal_loss, t, {"alpha": 0.25}, {"alpha": np.float64(0.25)})
    for name in ("weight", "pos_weight"):
        one, whole = np.asarray(0.3, dtype), np.full_like(x, 0.3)
        alike(stablesoft.sigmoid_cross_entropy, t, *({name: w} for w in (0.3, one, whole, [0.3])))
        each = np.broadcast_to(alpha, x.shape)
        alike(stablesoft.sigmoid_cross_entropy, t, *({name: w} for w in (alpha, each, each.copy("F"), alpha.tolist())))
