"""Losses at the ends of the range: logits, probabilities, weights and powers that doubles cannot carry through a
product, though they can the result. Everything against exact values."""

import math
import random as randoms

import numpy as np
import pytest
from test_reproducibility import assert_same_bits

import stablesoft
from exact import ulp_error, worst
from exact_losses import exact_sigmoid_loss, exact_softmax_loss
from loss_cases import worst_of_parts

BOTH = {"reduction": "none", "return_grad": True}
NAMES = {"label_smoothing": "smoothing", "pos_weight": "positive"}
POWERS = (1e-5, 0.1, 0.5, 1.0, 1.5, 2.0, 5.0, 16.0, 17.0, 100.0, 333.3, 1e5, 1e10, 1e300)


def assert_close(got, exact, dtype, bound, parts, what):
    loss, gradient = got
    error = ulp_error(loss, exact.loss, dtype)
    assert error <= bound, f"loss {loss!r}, not {exact.loss:.20g}: {error:.3g} ulp, {what}"
    if parts and max(unit.adjusted() for unit in exact.units) > 300:  # no ulp of it exists
        return
    error, place = (
        worst_of_parts(gradient, exact.gradient, exact.units, dtype)
        if parts
        else worst(gradient, exact.gradient, dtype)
    )
    assert error <= bound, (
        f"gradient[{place}] {gradient.flat[place]!r}, not {exact.gradient[place]:.20g}: {error:.3g} ulp, {what}"
    )


def check_softmax(row, dtype, *, label=None, probabilities=None, rows=1, **options):
    """One row, or the same one in a block of many."""
    x = np.array(row, dtype)
    arrays = {name: np.array(value, dtype) if np.ndim(value) else value for name, value in options.items()}
    known = {NAMES.get(name, name): tuple(v.tolist()) if np.ndim(v) else v for name, v in arrays.items()}
    if probabilities is not None:
        target = np.array(probabilities, dtype)
        known["probabilities"] = tuple(target.tolist())
    else:
        target = known["label"] = label
    focal = "gamma" in options
    if focal and "weight" in arrays:
        arrays["alpha"] = arrays.pop("weight")
    function = stablesoft.softmax_focal_loss if focal else stablesoft.softmax_cross_entropy
    exact = exact_softmax_loss(x.tolist(), **known)
    soft = probabilities is not None
    parts = soft or bool({"label_smoothing", "z_loss"} & options.keys())
    loss, gradient = function(np.stack([x] * rows), np.stack([target] * rows), **arrays, **BOTH)
    bound = 4 if options else 2 if soft else 1
    assert_close((loss[-1], gradient[-1]), exact, dtype, bound, parts, (row, target, arrays))


def check_sigmoid(x, target, dtype, **options):
    given = {name: np.array([value], dtype) for name, value in options.items() if name in ("weight", "pos_weight")}
    known = {name: float(array[0]) for name, array in given.items()}
    others = {name: value for name, value in options.items() if name not in given}
    function = stablesoft.sigmoid_focal_loss if "gamma" in options else stablesoft.sigmoid_cross_entropy
    logit, t = np.array([x], dtype), np.array([target], dtype)
    exact = exact_sigmoid_loss(float(logit[0]), float(t[0]), **{NAMES.get(k, k): v for k, v in known.items()}, **others)
    loss, gradient = function(logit, t, **given, **others, **BOTH)
    hard = t[0] in (0, 1)
    assert_close((loss[0], gradient), exact, dtype, 4 if options else 1 if hard else 2, not hard, (x, target, options))


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("z_loss", [1e-300, 1e-4, 1.0, 1e300])
@pytest.mark.parametrize("size", [1e200, -1e200, 1e30, -1e30, 1e5, 1.0])
def test_z_loss_of_huge_logits(size, z_loss, rows, dtype):
    """The loss may overflow; the gradient p (1 + 2 z L) - t is right, or infinite."""
    size = min(max(size, -1e38), 1e38) if dtype == "float32" else size
    for row in ([size, size / 2, -1.0], [size, size, 0.0], [size, np.nextafter(np.array(size, dtype), 0), -np.inf]):
        for label in range(3):
            check_softmax(row, dtype, label=label, rows=rows, z_loss=z_loss)
            check_softmax(row, dtype, label=label, rows=rows, z_loss=z_loss, label_smoothing=0.25)
        check_softmax(row, dtype, probabilities=[0.5, 0.25, 0.0], rows=rows, z_loss=z_loss)


@pytest.mark.parametrize("z_loss", [1e-4, 1.0, 1e10, 1e100])
def test_z_loss_where_log_sum_exp_cancels(z_loss, dtype):
    """L = peak + log(rest) is next to 0, so its error would show in z L."""
    for n in (2, 3, 10):
        row = np.log(np.full(n, 1 / n)) + 1e-9 * np.arange(n)
        check_softmax(row, dtype, label=0, z_loss=z_loss)
        check_softmax(row, dtype, label=1, z_loss=z_loss, label_smoothing=0.5)


@pytest.mark.parametrize("size", [2.0**100, 2.0**121, 2.0**400, 1e300])
@pytest.mark.parametrize("fall", [600.0, 745.0, 830.0, 900.0, 1100.0])
def test_large_factors_far_below_the_peak(size, fall):
    """p is 0 as a double, but not its product with probabilities or weights that are large."""
    row = [0.0, -1.0, -fall]
    check_softmax(row, "float64", probabilities=[size, size / 3, 0.0])
    check_softmax(row, "float64", label=0, weight=[size, 1.0, 2.0], label_smoothing=0.1)
    check_softmax(row, "float64", label=0, weight=[size, 1.0, 2.0])
    check_softmax(row, "float64", probabilities=[0.5, 0.5, 0.0], weight=[size, 1.0, 2.0])


@pytest.mark.parametrize("gamma", POWERS)
def test_powers(gamma, dtype):
    """A power multiplies the relative error of what is raised: hard and soft targets, confident and not."""
    random = np.random.default_rng(3)
    for scale in (0.1, 1.0, 10.0, 300.0):
        for n in (2, 5, 40):
            row = random.normal(0, scale, n).astype(dtype)
            for label in {int(np.argmax(row)), int(np.argmin(row)), 0}:
                check_softmax(row, dtype, label=label, gamma=gamma)
            check_softmax(row, dtype, probabilities=random.dirichlet(np.ones(n)), gamma=gamma)
        for x in random.normal(0, scale, 10):
            for target in (0.0, 1.0, 0.5, 1e-3, 1e-30, 1 - 2.0**-20, float(random.random())):
                check_sigmoid(x, target, dtype, gamma=gamma)
                check_sigmoid(x, target, dtype, gamma=gamma, alpha=0.25)


@pytest.mark.parametrize("weight", [5e-324, 1e-310, 1e-300, 1e-30, 3.0, 1e30, 1e300])
@pytest.mark.parametrize("gap", [1.0, 300.0, 600.0, 740.0, 800.0, 1400.0])
def test_weights_of_any_size(weight, gap):
    """What is lost in e^-gap without the weight is there with it."""
    row, weights = [0.0, -gap, -gap - 1.0], [weight, 1.0, 1e-5]
    for label in range(3):
        check_softmax(row, "float64", label=label, weight=weights)
        check_softmax(row, "float64", label=label, weight=weights, gamma=2.0)
        check_softmax(row, "float64", label=label, weight=weights, label_smoothing=0.3, z_loss=1e-4)
    check_softmax(row, "float64", probabilities=[1.0, 1e-310, 0.0], weight=weights)
    check_softmax(row, "float64", probabilities=[1e-310, 5e-324, 1e-300], weight=weights)
    for x in (gap, -gap):
        for target in (0.0, 1.0, 1e-310, 0.3):
            check_sigmoid(x, target, "float64", weight=weight)
            check_sigmoid(x, target, "float64", weight=1 / 3, pos_weight=weight)
            check_sigmoid(x, target, "float64", weight=weight, pos_weight=1e-20)


def test_small_inputs(dtype):
    """Zeros of either sign, subnormal logits and targets, one class, probabilities that do not sum to 1."""
    tiny = float(np.finfo(dtype).smallest_subnormal)
    for row in ([0.0, -0.0, tiny], [-tiny, tiny, 3 * tiny], [tiny], [-0.0], [-0.0, -math.inf]):
        n = len(row)
        for label in range(n):
            check_softmax(row, dtype, label=label)
            check_softmax(row, dtype, label=label, label_smoothing=1.0, z_loss=0.5)
            check_softmax(row, dtype, label=label, gamma=0.5)
        for t in ([0.0] * n, [tiny] * n, [3.0] + [0.0] * (n - 1), [2.0, tiny, 0.0][:n]):
            check_softmax(row, dtype, probabilities=t)
            check_softmax(row, dtype, probabilities=t, label_smoothing=1.0)
    for x in (0.0, -0.0, tiny, -tiny):
        for t in (0.0, 1.0, 0.5, tiny, 1 - 2.0**-20):
            check_sigmoid(x, t, dtype)


def draw_row(random, dtype):
    """A row of one of several kinds, from all alike to the ends of the range."""
    largest, tiny = (1e300, 1e-310) if dtype == "float64" else (1e37, 1e-40)
    kinds = [
        lambda: random.gauss(0, 1),
        lambda: random.gauss(0, 100),
        lambda: random.choice([0.0, -0.0, tiny, -tiny, 1.0, -1.0]),
        lambda: random.uniform(-largest, largest),
        lambda: random.choice([-1, 1]) * 10 ** random.uniform(-20, 30),
        lambda: random.choice([0, -700, -745, -87, -103]) + random.random(),
        lambda: -math.inf if random.random() < 0.4 else random.gauss(0, 2),
    ]
    kind = random.choice(kinds)
    row = [kind() for _ in range(random.choice([1, 2, 3, 4, 7, 12]))]
    return row if max(row) > -math.inf else [0.0, *row[1:]]


def draw_positive(random, dtype):
    return 10 ** random.uniform(*((-300, 300) if dtype == "float64" else (-44, 38)))


@pytest.mark.parametrize("seed", range(10))
def test_any_softmax(seed, dtype):
    """Options in every combination, weights and probabilities over the whole range."""
    random = randoms.Random(seed)
    for _ in range(60):
        row, options = draw_row(random, dtype), {}
        n, rows = len(row), random.choice([1, 1, 40])
        if random.random() < 0.5:
            wide = random.random() < 0.5
            options["weight"] = [draw_positive(random, dtype) if wide else random.random() for _ in row]
        if random.random() < 0.3:
            options["gamma"] = random.choice(POWERS)
        elif random.random() < 0.6:
            options["label_smoothing"] = random.choice([0.0, 1.0, 0.1, 1e-300, 1 - 2.0**-53])
            options["z_loss"] = random.choice([0.0, 1e-4, 1.0, 1e-300, 1e300])
        if random.random() < 0.5:
            check_softmax(row, dtype, label=random.randrange(n), rows=rows, **options)
        elif max(row) - min(row) < 1e5 or "gamma" not in options:  # the exact powers of e^-1000000 are not known
            t = [random.choice([0.0, random.random(), draw_positive(random, dtype)]) for _ in row]
            check_softmax(row, dtype, probabilities=t, rows=rows, **options)


@pytest.mark.parametrize("seed", range(10))
def test_any_sigmoid(seed, dtype):
    random = randoms.Random(seed)
    for _ in range(100):
        x, options = draw_row(random, dtype)[0], {}
        t = random.choice(
            [0.0, 1.0, random.random(), 10 ** random.uniform(-44, 0), 1 - 2.0 ** -random.randrange(1, 24)]
        )
        if random.random() < 0.4:
            options = {"weight": draw_positive(random, dtype), "pos_weight": draw_positive(random, dtype)}
        elif random.random() < 0.6:
            options = {"gamma": random.choice(POWERS), "alpha": random.choice([None, 0.25, 0.0, 1.0, 1e-300])}
        check_sigmoid(x, t, dtype, **options)


def test_weighted_rows_with_infinite_logits():
    """The sign of an infinite loss is that of its weight; a small one does not make it NaN."""
    row, inf, loss = [math.inf, 0.0], math.inf, stablesoft.softmax_cross_entropy
    assert loss(row, 0, weight=[-1.0, 1.0], z_loss=0.1, reduction="sum") == -inf
    assert np.isnan(loss(row, 0, weight=[math.nan, 1.0], z_loss=0.1, reduction="sum"))
    assert loss(row, [0.5, 0.5], weight=[1.0, -1.0]) == -inf
    assert loss(row, [1.0, 0.0], weight=[1e-40, 1.0], z_loss=0.1) == inf
    assert loss(row, 0, weight=[1.0, 0.0], label_smoothing=0.1, z_loss=0.1) == inf


def test_weights_that_lift_what_is_subnormal():
    """Under smoothing, too, a large weight shows digits that a subnormal loss without it would have lost."""
    for gap, weight in ((745.3070680124184, 1e30), (745.2, 1e16), (740.0, 100.0)):
        check_softmax([gap, 0.0], "float64", label=0, weight=[weight, 0.0], label_smoothing=0.5)


def test_zeros_of_sigmoid_gradients(dtype):
    """The sign of a gradient that is 0 depends neither on what stands beside it nor on weights of 1."""
    for count in range(2, 40):
        x = np.random.default_rng(count).normal(0, 3, count).astype(dtype)
        t = stablesoft.expit(x)
        for reduction in ("mean", "sum"):
            options = {"reduction": reduction, "return_grad": True}
            _, plain = stablesoft.sigmoid_cross_entropy(x, t, **options)
            _, weighted = stablesoft.sigmoid_cross_entropy(x, t, weight=np.ones_like(x), **options)
            assert_same_bits(weighted, plain, count)
            special, agreed = x.copy(), t.copy()
            special[-1], agreed[-1] = np.inf, 1.0
            _, beside = stablesoft.sigmoid_cross_entropy(special, agreed, **options)
            assert_same_bits(beside[:-1], plain[:-1], count)
