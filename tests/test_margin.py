"""Margin losses on hard inputs against exact values, and one input, one result, bit for bit."""

import decimal
import itertools
from fractions import Fraction

import numpy as np
import pytest
from conftest import run_worker

import stablesoft
from exact_margin import differences, exact_margin
from margin_cases import (
    EVERY_DIGIT,
    GRADIENT_BOUND,
    HARD,
    LOSS_BOUND,
    LOSSES,
    NAMES,
    errors,
    lasting,
    normal,
    vanishing,
    vectors,
)
from stablesoft import _margin_inputs, _margin_refined, margin
from stablesoft._margin_core import evaluate
from stablesoft._margin_decimals import Decimals
from stablesoft._margin_pairs import AllPaired, Paired


def check(*case, **options):
    loss, gradient = errors(*case, **options)
    assert loss[0] <= LOSS_BOUND, loss
    assert gradient[0] <= GRADIENT_BOUND, gradient


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hard", HARD)
def test_accuracy(name, hard, dtype):
    check(name, *vectors(dtype)[hard], dtype, digits=EVERY_DIGIT)


@pytest.mark.parametrize("name", ["l_softmax, m=3, lam", "a_softmax, m=7", "arcface, sub", "combined"])
@pytest.mark.parametrize("hard", ["ordinary", "angle 0 and pi", "break points"])
def test_detached(name, hard, dtype):
    check(name, *vectors(dtype)[hard], dtype, gradient="detached")


@pytest.mark.parametrize(("size", "classes"), [(1e3, 60), (1e5, 3), (1e9, 3)])
@pytest.mark.parametrize("name", ["modified_softmax", "l_softmax, m=1"])
def test_large_logits_that_leave_a_choice(name, size, classes):
    """Then the classes are close together, and most of the gradient for x cancels."""
    unit = normal(512, seed=2) / 512**0.5
    x, weight = size * (unit + normal(1, 512) / 20), unit + 3e-3 / size * normal(classes, 512)
    check(name, x, weight, [1], "float64", digits=80)


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 0])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_that_all_but_vanish(name, size, dtype):
    """How far terms may cancel has no limit: 0 stands for as far as the dtype lets them."""
    check(name, *vanishing(name, dtype, size), dtype, digits=EVERY_DIGIT)


@pytest.mark.parametrize("what", lasting("float64"))
def test_gradients_that_lose_digits(what, dtype):
    """Where the exact gradient is 0, ours is: no digit of a sum that vanishes is right before all are gone."""
    if what not in lasting(dtype):
        pytest.skip(f"{dtype} has no such numbers")
    case = lasting(dtype)[what]
    check(*case, dtype, digits=900 if len(case[1]) == 1 else EVERY_DIGIT)


@pytest.mark.parametrize("hard", ["ordinary", "K = 1", "beside another class", "break points", "needles", None])
@pytest.mark.parametrize("numbers", [Paired, AllPaired, Decimals])
def test_errors_are_known(numbers, hard, dtype, monkeypatch):
    """Each arithmetic by itself stays within the errors by which it is judged."""

    def by_itself(ar, x, weight, labels, *options):
        ar = numbers(dtype, 60) if numbers is Decimals else numbers(dtype)
        ar.wanted = [np.ones(len(rows), bool) for rows in (x, weight)]
        with ar.working():
            _, gradients, terms = evaluate(ar, x, weight, labels, *options)
        doubts, _ = terms.doubtful(gradients)
        for side in (0, 1):
            found.append((gradients[side], terms.bound(side, terms.sums[side], slice(None)), doubts[side]))
        return np.zeros(len(x)), *gradients

    monkeypatch.setattr(_margin_inputs, "refined", by_itself)
    cases = [(name, *vectors(dtype)[hard]) for name in NAMES] if hard else lasting(dtype).values()
    for name, x, weight, labels in cases:
        function, options, kind = LOSSES[name]
        found = []
        function(x, weight, labels, reduction="sum", return_grad=True, **options)
        exact = exact_margin(x, weight, labels, kind, EVERY_DIGIT)
        for results, exact_rows in zip(found, (exact.grad_x, exact.grad_weight), strict=True):
            for row, bound, doubt, values in zip(*results, exact_rows, strict=True):
                if not np.isfinite(row).all():  # something has overflown on the way
                    assert doubt
                    continue
                for got, value in zip(row, values, strict=True):
                    off = float(abs(Fraction(got) - Fraction(value)))
                    assert off <= bound + np.spacing(abs(got))


@pytest.mark.parametrize("name", NAMES)
def test_reference_against_differences(name):
    """The formulas of the exact gradients against differences of the exact loss."""
    x, weight, labels = vectors("float64")["ordinary"]
    kind = LOSSES[name][2]
    exact = exact_margin(x, weight, labels, kind)
    for rows, other in zip((exact.grad_x, exact.grad_weight), differences(x, weight, labels, kind), strict=True):
        for row, other_row in zip(rows, other, strict=True):
            assert all(abs(a - b) < 1e-30 for a, b in zip(row, other_row, strict=True))


COSINES = {
    "angle 0 and pi": [1, -1, 1],
    "one ulp from angle 0 and pi": [1, -1, 1],
    "break points": [0.5, 0, 0.5**0.5, -0.5],
    "beside the break points": [0.5, 0, 0.5**0.5, -0.5],
}


@pytest.mark.parametrize("hard", HARD)
def test_inputs_are_what_their_names_say(hard, dtype):
    x, weight, labels = vectors(dtype)[hard]
    assert np.isfinite(x).all() and np.isfinite(weight).all()
    assert x.any(axis=1).all() and weight.any(axis=1).all() and labels.max() < len(weight)
    if hard in COSINES:
        own = weight[labels].astype(float)
        cosines = np.sum(x * own, axis=1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(own, axis=1))
        np.testing.assert_allclose(cosines, COSINES[hard], atol=4e-7)


def batch(dtype, n=24, k=70, classes=20):
    x, weight = normal(n, k), normal(classes, k)
    labels = np.arange(n) % 7
    x[:8] += 10 * weight[labels[:8]]
    x[8], x[9], x[10] = weight[labels[8]], -weight[labels[9]], weight[15]
    return x.astype(dtype), weight.astype(dtype), labels


def results(name, x, weight, labels):
    function, options, _ = LOSSES[name]
    items = function(x, weight, labels, reduction="none", **options)
    return items, *function(x, weight, labels, return_grad=True, **options)


@pytest.mark.parametrize("size", [1e-3, 1e-9, 0])
def test_order_of_a_batch_that_all_but_cancels(size, dtype):
    x, weight, labels = vanishing("a_softmax, m=2", dtype, size)
    expected = margin.a_softmax(x, weight, labels, m=2, return_grad=True)
    for order in itertools.permutations(range(len(x))):
        again = margin.a_softmax(x[list(order)], weight, labels, m=2, return_grad=True)
        np.testing.assert_array_equal(again[1], expected[1][list(order)])
        np.testing.assert_array_equal(again[2], expected[2])


@pytest.mark.parametrize("size", [1e-3, 1e-9, 0])
def test_a_row_that_all_but_cancels_does_not_see_its_neighbours(size, dtype):
    x, weight, labels = vanishing("arcface, sub", dtype, size)
    _, alone, _ = margin.arcface(x, weight, labels, reduction="sum", return_grad=True)
    many = np.concatenate([normal(5, 2).astype(dtype), x, x])
    _, grad_x, _ = margin.arcface(many, weight, np.repeat(labels, 7), reduction="sum", return_grad=True)
    np.testing.assert_array_equal(grad_x[5:], np.repeat(alone, 2, axis=0))


def test_a_row_does_not_see_the_parts_of_others():
    """The first row is parallel to a class, which is done by itself; the second one has entries of 1e-30."""
    x, weight = np.array([[2, 0, 0], [0.3, 0.2, 1e-30]]), np.array([[1, 0, 0], [0.3, 1, 0]])
    for loss in (margin.am_softmax, margin.modified_softmax):
        _, together, _ = loss(x, weight, [1, 0], reduction="sum", return_grad=True)
        _, alone, _ = loss(x[1:], weight, [0], reduction="sum", return_grad=True)
        np.testing.assert_array_equal(together[1], alone[0])


@pytest.mark.parametrize("name", ["modified_softmax", "a_softmax, m=2", "arcface, sub"])
def test_ordinary_batches_are_computed_once(name, dtype, monkeypatch):
    """What all rows pay for the rows that cancel is an estimate."""
    calls = []

    def counted(ar, *arguments):
        calls.append(type(ar))
        return evaluate(ar, *arguments)

    monkeypatch.setattr(_margin_refined, "evaluate", counted)
    x, weight, labels = normal(256, 64), normal(50, 64), np.arange(256) % 50
    results(name, x.astype(dtype), weight.astype(dtype), labels)
    assert calls == [Paired, Paired]  # the losses, and those with gradients


def test_beyond_at_pi():
    """2 theta = pi is not below pi, in all numbers that have a part in the result."""
    loss, grad_x, grad_weight = margin.combined_margin([[1, 0]], [[0, 1], [0, 1]], [0], m1=2.0, return_grad=True)
    assert loss == np.log(2)
    np.testing.assert_array_equal(grad_x, [[0, 0]])
    np.testing.assert_array_equal(grad_weight, [[-32, 0], [32, 0]])


def test_decimals_of_the_user_do_not_matter(monkeypatch):
    """Neither the context, which is left alone, nor the defaults that contexts are made of."""
    name, x, weight, labels = lasting("float64")["mirrored classes"]
    function, options, _ = LOSSES[name]
    expected = function(x, weight, labels, return_grad=True, **options)
    for trap in decimal.DefaultContext.traps:
        monkeypatch.setitem(decimal.DefaultContext.traps, trap, True)
    monkeypatch.setattr(decimal.DefaultContext, "rounding", decimal.ROUND_UP)
    with decimal.localcontext(decimal.Context(prec=3, Emax=5)) as context:
        got = function(x, weight, labels, return_grad=True, **options)
        assert context.prec == 3 and not any(context.flags.values())
    for value, right in zip(got, expected, strict=True):
        np.testing.assert_array_equal(value, right)


PATHS = ("modified_softmax", "l_softmax, m=4", "a_softmax, m=2", "arcface, sub", "combined")


@pytest.mark.parametrize("name", PATHS)
def test_order_of_the_batch(name, dtype):
    x, weight, labels = batch(dtype)
    items, loss, grad_x, grad_weight = results(name, x, weight, labels)
    order = np.random.default_rng(3).permutation(len(x))
    again = results(name, x[order], weight, labels[order])
    for got, expected in zip(again, (items[order], loss, grad_x[order], grad_weight), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("n", [300, 700, 5000])
def test_order_of_a_large_batch(n, dtype):
    """The sums over the batch are products of matrices, too, of more than one precision."""
    x, weight, labels = normal(n, 5), normal(9, 5), np.arange(n) % 9
    expected = margin.arcface(x.astype(dtype), weight.astype(dtype), labels, return_grad=True)
    order = np.random.default_rng(4).permutation(n)
    again = margin.arcface(x[order].astype(dtype), weight.astype(dtype), labels[order], return_grad=True)
    assert again[0] == expected[0]
    np.testing.assert_array_equal(again[1], expected[1][order])
    np.testing.assert_array_equal(again[2], expected[2])


@pytest.mark.parametrize("n", [300, 5000, 20_000])
def test_order_of_a_large_batch_that_cancels(n, dtype):
    """What is left of a sum shows what its terms have lost."""
    half = normal(n // 2, 5)
    x, weight, labels = np.concatenate([half, -half]), normal(3, 5) * 1e-3, np.zeros(n, int)
    expected = margin.l_softmax(x.astype(dtype), weight.astype(dtype), labels, m=1, return_grad=True)
    order = np.random.default_rng(4).permutation(n)
    again = margin.l_softmax(x[order].astype(dtype), weight.astype(dtype), labels[order], m=1, return_grad=True)
    np.testing.assert_array_equal(again[2], expected[2])


@pytest.mark.parametrize("name", PATHS)
def test_a_row_does_not_see_its_neighbours(name, dtype):
    x, weight, labels = batch(dtype)
    function, options, _ = LOSSES[name]
    items, grad_x, _ = function(x, weight, labels, reduction="none", return_grad=True, **options)
    for j in (0, 8, 9, 10, 20):
        loss, alone, _ = function(x[j : j + 1], weight, labels[j : j + 1], return_grad=True, **options)
        assert loss == items[j]
        np.testing.assert_array_equal(alone[0], grad_x[j])


@pytest.mark.parametrize("name", PATHS)
def test_layouts(name, dtype):
    x, weight, labels = batch(dtype)
    expected = results(name, x, weight, labels)
    wide = np.zeros((len(x), 2 * x.shape[1]), dtype)
    wide[:, ::2] = x
    for other in (np.asfortranarray(x), wide[:, ::2], x[::-1][::-1], x.astype(np.dtype(dtype).newbyteorder())):
        for got, value in zip(results(name, other, np.asfortranarray(weight), labels), expected, strict=True):
            np.testing.assert_array_equal(got, value)
            assert got.dtype == dtype


@pytest.mark.parametrize(
    "environment",
    [{"OMP_NUM_THREADS": "1"}, {"OPENBLAS_CORETYPE": "PRESCOTT"}, {"OPENBLAS_CORETYPE": "HASWELL"}],
    ids=str,
)
def test_blas(environment):
    """BLAS with one thread, or with kernels without fma, gives the same bits: its roundings are rounded away."""
    found = run_worker(batch="margin", **environment)
    assert len(found) > 20
    assert found == run_worker(batch="margin", threads=2)


def test_digests_distinguish():
    found = run_worker(batch="margin", threads=2)
    assert len(set(found.values())) == len(found)


def test_input_is_left_alone(dtype):
    x, weight, labels = batch(dtype)
    before = x.copy(), weight.copy(), labels.copy()
    for array in (x, weight, labels):
        array.flags.writeable = False
    results("arcface, sub", x, weight, labels)
    for array, copy in zip((x, weight, labels), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_importable_as_a_submodule():
    assert stablesoft.margin is margin
