"""Every loss of the table: items and gradients within their bounds on hard rows, in every path through the kernels."""

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cases
import stablesoft
import strategies
from exact import WIDE, context, ulp_error
from exact_losses import exact_sigmoid_loss, exact_softmax_loss
from loss_cases import CASES, SIGMOID, SOFTMAX, check, labels_of, targets_of


def try_row(case, row, what):
    for place, targets in targets_of(case, row).items():
        loss, gradient = case(stablesoft, row, targets, reduction="none", return_grad=True)
        exact = case.exact(row, targets)
        if case.kwargs.get("z_loss") and np.isinf(loss):
            exact = replace(exact, gradient=[Decimal(v) for v in gradient.tolist()])  # its slope may overflow as well
        check(case, exact, loss, gradient, f"{what}, {place}")


@pytest.mark.parametrize("case", SOFTMAX, ids=lambda case: case.id)
def test_named_rows(case, dtype):
    """The label at the peak, at the smallest element, at a tie, at -inf."""
    for name, row in cases.rows(dtype).items():
        if row.size < 500 or case is SOFTMAX[0]:
            try_row(case, row, name)


@pytest.mark.parametrize("case", SIGMOID, ids=lambda case: case.id)
def test_named_elements(case, dtype):
    """All the elements of the named rows; with the largest weights the largest would overflow on the way."""
    pool = np.unique(np.concatenate([row for row in cases.rows(dtype).values() if row.size < 150]))
    if case.weights:
        pool = pool[np.isinf(pool) | (np.abs(pool) < np.finfo(dtype).max / 1000)]
    try_row(case, pool, "pool")


@pytest.mark.parametrize("case", SOFTMAX, ids=lambda case: case.id)
def test_every_length(case, dtype):
    random = np.random.default_rng(1)
    for n in range(1, 71) if not case.kwargs else (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65):
        try_row(case, random.normal(0, 3, n).astype(dtype), f"n={n}")


@pytest.mark.parametrize("case", SIGMOID, ids=lambda case: case.id)
def test_every_number_of_elements(case, dtype):
    """A part of a piece gives the bits of the whole one."""
    x = np.random.default_rng(1).normal(0, 3, 70).astype(dtype)
    for targets in targets_of(case, x).values():
        rest = case.arrays(x.shape, x.dtype)
        function = getattr(stablesoft, case.name)
        loss, gradient = function(x, targets, **rest, **case.kwargs, reduction="none", return_grad=True)
        for n in range(71):
            part = {name: array[:n] for name, array in rest.items()}
            got = function(x[:n], targets[:n], **part, **case.kwargs, reduction="none", return_grad=True)
            np.testing.assert_array_equal(got[0], loss[:n])
            np.testing.assert_array_equal(got[1], gradient[:n])


@pytest.mark.parametrize("case", [case for case in SOFTMAX if case.soft or not case.kwargs], ids=lambda case: case.id)
def test_long_rows(case, dtype):
    """Rows of two tiles and of a part of a third, whose terms are computed twice."""
    random = np.random.default_rng(4)
    for n in (4096, 4099, 8200):
        row = random.normal(0, 4, n).astype(dtype)
        row[5] = 60
        targets = targets_of(case, row)
        for place in {"probabilities", "peak", "middle"} & targets.keys():
            loss, gradient = case(stablesoft, row, targets[place], reduction="none", return_grad=True)
            exact = case.exact(row, targets[place])
            some = np.r_[0:20, n // 2 - 3 : n // 2 + 3, 4090:4096, n - 9 : n]
            picked = replace(exact, gradient=[exact.gradient[i] for i in some], units=[exact.units[i] for i in some])
            check(case, picked, loss, gradient[some], f"n={n}, {place}")


def batch_of(case, x):
    """One label, or one array of probabilities, for each row of a matrix: every hard place in turn."""
    chosen = [list(targets_of(case, row).values()) for row in x]
    return np.array([options[j % len(options)] for j, options in enumerate(chosen)])


@pytest.mark.parametrize("case", SOFTMAX, ids=lambda case: case.id)
@pytest.mark.parametrize("n", [2, 5, 10, 16, 33])
def test_blocks(case, dtype, n):
    """Many rows, short ones side by side: as they are, and along an axis in the middle, as NCHW has it."""
    random = np.random.default_rng(n)
    x = (random.normal(size=(60, n)) * 10.0 ** random.uniform(-2, 2, size=(60, 1))).astype(dtype)
    x[7, n // 2] = x[8, 0] = -np.inf
    targets = batch_of(case, x)
    loss, gradient = case(stablesoft, x, targets, reduction="none", return_grad=True)
    assert gradient.shape == x.shape and loss.shape == (60,)
    for j, row in enumerate(x):
        check(case, case.exact(row, targets[j]), loss[j], gradient[j], f"row {j}")
    image = np.ascontiguousarray(x.reshape(4, 15, n).transpose(0, 2, 1))
    kept = targets.reshape(4, 15, n).transpose(0, 2, 1) if case.soft else targets.reshape(4, 15)
    again, slopes = case(stablesoft, image, kept, axis=1, reduction="none", return_grad=True)
    np.testing.assert_array_equal(again.ravel(), loss)
    np.testing.assert_array_equal(slopes.transpose(0, 2, 1).reshape(x.shape), gradient)


@pytest.mark.parametrize("case", [CASES[0], CASES[1]], ids=lambda case: case.id)
@settings(max_examples=60)
@given(data=st.data())
def test_fuzz(case, data):
    for dtype in cases.DTYPES:
        row = data.draw(strategies.finite_rows(dtype), label=dtype)
        label = data.draw(st.integers(0, row.size - 1), label="label")
        targets = targets_of(case, row)["probabilities"] if case.soft else label
        loss, gradient = case(stablesoft, row, targets, reduction="none", return_grad=True)
        check(case, case.exact(row, targets), loss, gradient, row)


@settings(max_examples=60)
@given(x=st.floats(-800, 800), target=st.sampled_from([0.0, 1.0]))
def test_fuzz_sigmoid(x, target):
    for dtype in cases.DTYPES:
        logit = np.array([x], dtype)
        for case in SIGMOID:
            if case.soft or case.weights:
                continue
            targets = np.array([target], dtype)
            loss, gradient = case(stablesoft, logit, targets, reduction="none", return_grad=True)
            check(case, case.exact(logit, targets), loss, gradient, x)


@pytest.mark.parametrize("size", ["1e-300", "the smallest normal", "subnormal"])
def test_tiny_losses(size, dtype):
    """A confident row costs e^-d, however little that is, and its gradient is that, too."""
    info = np.finfo(dtype)
    wanted = {"1e-300": 1e-300, "the smallest normal": float(info.smallest_normal), "subnormal": 1e-310}[size]
    if dtype == "float32":
        wanted = max(wanted, 1e-38) if size == "1e-300" else 3e-42 if size == "subnormal" else wanted
    row = np.array([0, math.log(wanted), -1e4], dtype)
    for rows in (row, np.stack([row] * 40)):
        loss, gradient = stablesoft.softmax_cross_entropy(
            rows, np.zeros(rows.shape[:-1], int), reduction="none", return_grad=True
        )
        exact = exact_softmax_loss(row.tolist(), 0)
        assert 0 < float(exact.loss) < 2 * wanted
        for one, slopes in zip(np.ravel(loss), gradient.reshape(-1, 3)):
            check(CASES[0], exact, one, slopes, size)
    loss, gradient = stablesoft.sigmoid_cross_entropy(row[1:2], [0.0], reduction="none", return_grad=True)
    check(CASES[0], [exact_sigmoid_loss(float(row[1]), 0.0)], loss, gradient, size)


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("weight", [1.0, 3.0, -1e5, 1e30, 1e100])
@pytest.mark.parametrize("gap", [700.0, 737.77, 744.0, 760.0, 800.5])
def test_weight_lifts_a_subnormal_loss(gap, weight, rows):
    """A loss that is subnormal or 0 without its weight is no less exact with it."""
    row = [0.0, -gap - 20, -gap]
    exact = exact_softmax_loss(row, 0)
    loss, gradient = stablesoft.softmax_cross_entropy(
        [row] * rows, [0] * rows, weight=[weight, 1.0, 1.0], reduction="none", return_grad=True
    )
    for item, slopes in zip(loss, gradient):
        assert ulp_error(item, WIDE.multiply(exact.loss, Decimal(weight)), "float64") <= 4
        for got, slope in zip(slopes, exact.gradient):
            assert ulp_error(got, WIDE.multiply(slope, Decimal(weight)), "float64") <= 4


def reduced(case, x, targets, dtype):
    """Exact sum of the losses, and what the mean divides by."""
    exact = case.exact(x, targets) if case.sigmoid else [case.exact(*pair) for pair in zip(x, targets)]
    total = sum((Fraction(one.loss) for one in exact), Fraction(0))
    count = Fraction(len(exact))
    if "weight" in case.weights and not case.sigmoid and not case.soft:
        weight = case.arrays(x.shape[-1], dtype)["weight"]
        count = sum((Fraction(float(weight[label])) for label in targets), Fraction(0))
    return exact, total, count


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_sum_and_mean(case, dtype):
    """Within 4 ulp of the exact sum of the exact losses; the gradient of a mean is as good as that of one row."""
    random = np.random.default_rng(8)
    x = (random.normal(size=(50, 7)) * 10.0 ** random.uniform(-2, 1.5, size=(50, 1))).astype(dtype)
    if case.sigmoid:
        x = x[:10].reshape(-1)
    targets = next(iter(targets_of(case, x).values())) if case.sigmoid else batch_of(case, x)
    exact, total, count = reduced(case, x, targets, np.dtype(dtype))
    for reduction, divisor in (("sum", Fraction(1)), ("mean", count)):
        loss, gradient = case(stablesoft, x, targets, reduction=reduction, return_grad=True)
        assert loss.dtype == dtype and np.ndim(loss) == 0
        assert loss == case(stablesoft, x, targets, reduction=reduction)
        value = total / divisor
        ctx = context(60)
        decimal = ctx.divide(Decimal(value.numerator), Decimal(value.denominator))
        assert ulp_error(loss, decimal, dtype) <= 4, reduction
        scale = ctx.divide(Decimal(divisor.denominator), Decimal(divisor.numerator))
        scaled = [
            replace(one, gradient=[WIDE.multiply(g, scale) for g in one.gradient], units=[u * scale for u in one.units])
            for one in exact
        ]
        items = case(stablesoft, x, targets, reduction="none")
        for row, item, slopes in zip(scaled, items, gradient):
            check(case, row, item, slopes, reduction)


def test_sum_is_exact():
    """Items that cancel in no order: large and tiny ones, summed as if without rounding."""
    losses = np.array([1e200, 1.0, 1e-200, 3.0, 1e200, 2.0**-60])
    rows = np.stack([np.zeros_like(losses), losses], axis=1)
    exact = sum(Fraction(float(exact_softmax_loss(row.tolist(), 0).loss)) for row in rows)
    for order in (slice(None), slice(None, None, -1), [3, 1, 0, 5, 4, 2]):
        got = stablesoft.softmax_cross_entropy(rows[order], np.zeros(6, int), reduction="sum")
        assert got == float(exact)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_mean_of_a_sum_that_overflows(sign):
    """Every loss is a double and so is their mean, but not their sum."""
    big = np.array([1.7e308, 1.6e308, 1.5e308])
    mean = sign * float(sum(map(Fraction, big.tolist())) / 3)
    assert stablesoft.sigmoid_cross_entropy(big, np.zeros(3), weight=sign) == mean
    assert stablesoft.sigmoid_cross_entropy(big, np.zeros(3), weight=sign, reduction="sum") == sign * math.inf
    rows, labels = np.stack([big, np.zeros(3)], axis=1), np.ones(3, int)
    assert stablesoft.softmax_cross_entropy(rows, np.eye(2)[labels], weight=[sign, sign]) == mean
    if sign > 0:
        assert stablesoft.softmax_cross_entropy(rows, labels) == mean
        assert stablesoft.softmax_focal_loss(rows, labels) == mean


def test_labels_are_hard(dtype):
    """The places that the tests above put labels at exist among the named rows."""
    places = {place for row in cases.rows(dtype).values() for place in labels_of(row)}
    assert places == {"peak", "smallest", "tie", "-inf", "middle"}
