"""Margin losses: laws, psi, other array libraries, and what is refused with which words."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exact import context, ulp, ulp_error
from exact_margin import Kind, pi
from margin_cases import LOSSES, NAMES, SCALED, normal
from stablesoft import log_softmax, margin

EPS = float(np.finfo("float64").eps)
PSI_BOUND = 16  # ulp of 2m - 1
FEW = settings(max_examples=20)  # one example is a whole problem


@st.composite
def problems(draw):
    """x, weight, labels of any sizes and lengths, some vectors parallel to others."""
    n, k, classes = draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    weight = random.normal(size=(classes, k)) * 10.0 ** random.uniform(-3, 3, size=(classes, 1))
    x = random.normal(size=(n, k)) * 10.0 ** random.uniform(-2, 1, size=(n, 1))
    if draw(st.booleans()):
        x[0] = weight[-1] * draw(st.sampled_from([2.0, -0.5, 3.0]))
    return x, weight, random.integers(0, classes, n)


def close(got, expected, ulps=64):
    """Both (loss, grad_x, grad_weight) within some ulps of the largest entry."""
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=ulps * EPS * max(1.0, float(np.max(np.abs(b), initial=0))))


@pytest.mark.parametrize("name", SCALED)
@FEW
@given(problem=problems())
def test_gradients_are_perpendicular(name, problem):
    """A scaled loss does not depend on the length of a vector."""
    x, weight, labels = problem
    function, options, _ = LOSSES[name]
    _, grad_x, grad_weight = function(x, weight, labels, return_grad=True, **options)
    for rows, grads in ((x, grad_x), (weight, grad_weight)):
        limit = 4 * EPS * math.sqrt(rows.shape[1]) * np.linalg.norm(rows, axis=1) * np.linalg.norm(grads, axis=1)
        assert (np.abs(np.sum(rows * grads, axis=1)) <= limit).all()


@pytest.mark.parametrize("name", ["modified_softmax", "l_softmax, m=4", "a_softmax, m=2", "arcface, sub"])
@FEW
@given(problem=problems(), exponent=st.integers(-40, 40))
def test_length_of_weight(name, problem, exponent):
    """A power of two in the length of a class vector changes no bit of a loss that normalises it."""
    x, weight, labels = problem
    function, options, kind = LOSSES[name]
    if not kind.unit_weight:
        x, weight = x * 2.0**exponent, weight * 2.0**-exponent  # there only the product counts
    loss, grad_x, _ = function(x, weight, labels, return_grad=True, **options)
    again, grad_again, _ = function(x, weight * 2.0**exponent, labels, return_grad=True, **options)
    if kind.unit_weight:
        assert loss == again
        np.testing.assert_array_equal(grad_x, grad_again)
    else:
        assert again == function(x * 2.0**exponent, weight, labels, **options)


@FEW
@given(problem=problems(), scale=st.floats(0.5, 64))
def test_special_cases_of_one_another(problem, scale):
    options = {"return_grad": True, "scale": scale}
    plain = margin.combined_margin(*problem, **options)
    for beyond in ("sub", "wrap", "clamp", "easy"):
        close(margin.arcface(*problem, m=0.0, beyond=beyond, **options), plain, 0)
        close(margin.combined_margin(*problem, m2=0.3, beyond=beyond, **options),
              margin.arcface(*problem, m=0.3, beyond=beyond, **options), 0)  # fmt: skip
    close(margin.am_softmax(*problem, m=0.0, **options), plain, 0)
    close(margin.am_softmax(*problem, m=0.2, **options), margin.combined_margin(*problem, m3=0.2, **options), 0)
    close(margin.a_softmax(*problem, m=1, return_grad=True), margin.modified_softmax(*problem, return_grad=True), 0)


@FEW
@given(problem=problems())
def test_normalised_softmax(problem):
    x, weight, labels = problem
    unit_x, unit_w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, weight))
    expected = -log_softmax(8.0 * unit_x @ unit_w.T, axis=1)[np.arange(len(x)), labels]
    got = margin.arcface(x, weight, labels, m=0.0, scale=8.0, reduction="none")
    np.testing.assert_allclose(got, expected, rtol=0, atol=64 * EPS * 8)


@FEW
@given(problem=problems())
def test_plain_softmax(problem):
    """l_softmax with m = 1 is the cross-entropy of x @ weight.T, and so is a large lambda with any m."""
    x, weight, labels = problem
    logits = x @ weight.T
    expected = -log_softmax(logits, axis=1)[np.arange(len(x)), labels]
    scale = np.max(np.linalg.norm(x, axis=1)) * np.max(np.linalg.norm(weight, axis=1))
    p = np.exp(log_softmax(logits, axis=1))
    p[np.arange(len(x)), labels] -= 1
    tolerance = 1e-13 * max(1.0, scale)
    for options in ({"m": 1}, {"m": 1, "lam": 3.0}, {"m": 4, "lam": 1e300}):
        items = margin.l_softmax(x, weight, labels, reduction="none", **options)
        np.testing.assert_allclose(items, expected, rtol=0, atol=tolerance)
        _, grad_x, grad_weight = margin.l_softmax(
            x, weight, labels, reduction="sum", return_grad=True, **options
        )
        np.testing.assert_allclose(grad_x, p @ weight, rtol=0, atol=tolerance * np.max(np.abs(weight)))
        np.testing.assert_allclose(grad_weight, p.T @ x, rtol=0, atol=tolerance * np.max(np.abs(x)))


@pytest.mark.parametrize("name", NAMES)
def test_one_class(name):
    """Where there is nothing to confuse the class with, loss and gradients are exactly 0."""
    function, options, _ = LOSSES[name]
    loss, grad_x, grad_weight = function(normal(3, 4), normal(1, 4), [0, 0, 0], return_grad=True, **options)
    assert loss == 0.0 and not grad_x.any() and not grad_weight.any()


@pytest.mark.parametrize("name", NAMES)
def test_reductions(name, dtype):
    function, options, _ = LOSSES[name]
    call = normal(5, 4).astype(dtype), normal(3, 4).astype(dtype), [0, 1, 2, 0, 1]
    items, grad_x, _ = function(*call, reduction="none", return_grad=True, **options)
    assert items.shape == (5,) and items.dtype == dtype
    total, total_grad, _ = function(*call, reduction="sum", return_grad=True, **options)
    mean, mean_grad, _ = function(*call, return_grad=True, **options)
    assert type(mean) is type(total) is np.dtype(dtype).type
    np.testing.assert_array_equal(grad_x, total_grad)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose([total, 5 * mean], math.fsum(items), rtol=4 * eps)
    np.testing.assert_allclose(mean_grad * 5, grad_x, rtol=2 * eps)
    assert function(*call, **options) == mean


def test_detached_slope_is_that_of_the_cosine():
    """In one plane: d loss/d cos = s (p_y - 1), whatever the margin."""
    theta = 0.7
    x, weight = [[1.0, 0.0]], [[math.cos(theta), math.sin(theta)], [-1.0, 0.0]]
    loss, grad_x, _ = margin.arcface(x, weight, [0], scale=2.0, gradient="detached", return_grad=True)
    share = 1 - math.exp(-loss)
    np.testing.assert_allclose(grad_x[0], [0.0, -2.0 * share * math.sin(theta)], rtol=1e-14, atol=1e-16)


# ---- psi ----


def break_points(m, dtype):
    points = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, *(math.cos(k * math.pi / m) for k in range(m + 1))]
    points = np.array(points, dtype)
    return np.concatenate([points, np.nextafter(points, dtype(-2)), np.nextafter(points, dtype(2))])


def exact_psi(c, m):
    with localcontext(context(60)):
        c = Decimal(float(c))
        return Kind(m=m).phi((1 - c * c).sqrt(), c, 60)[0]


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 12, 50])
def test_psi_accuracy(m, dtype):
    real = np.dtype(dtype).type
    c = np.concatenate([break_points(m, real), np.linspace(-1, 1, 41, dtype=dtype), 1 - real(2.0) ** -np.arange(20)])
    c = c[np.abs(c) <= 1].astype(dtype)
    got = margin.psi(c, m)
    assert got.dtype == dtype
    unit = ulp(Decimal(2 * m - 1), dtype)
    for value, cosine in zip(got, c, strict=True):
        assert abs(Fraction(float(value)) - Fraction(exact_psi(cosine, m))) <= PSI_BOUND * unit


def caffe_form(c, m):
    """The closed forms of the authors' layer in exact arithmetic; sign(0) = 0."""
    sign = lambda v: (v > 0) - (v < 0)  # noqa: E731
    s0, s1, s3 = sign(c), sign(abs(c) - Fraction(1, 2)), sign(c) * sign(2 * c * c - 1)
    return {
        2: lambda: 2 * s0 * c * c - 1,
        3: lambda: s1 * (4 * c**3 - 3 * c) + s0 * (1 + s1) - 2,
        4: lambda: s3 * (8 * c**4 - 8 * c**2 + 1) + 2 * s0 + s3 - 3,
    }[m]()


@pytest.mark.parametrize("m", [2, 3, 4])
def test_psi_is_caffes(m, dtype):
    real = np.dtype(dtype).type
    c = np.concatenate([break_points(m, real), np.linspace(-1, 1, 201, dtype=dtype)])
    c = c[np.abs(c) <= 1]
    unit = ulp(Decimal(2 * m - 1), dtype)
    for value, cosine in zip(margin.psi(c, m), c, strict=True):
        assert abs(Fraction(float(value)) - caffe_form(Fraction(float(cosine)), m)) <= PSI_BOUND * unit


@pytest.mark.parametrize("m", [1, 2, 3, 4, 9])
def test_psi_rises_with_the_cosine(m, dtype):
    real = np.dtype(dtype).type
    c = np.unique(np.concatenate([break_points(m, real), np.linspace(-1, 1, 2001, dtype=dtype)]))
    c = c[np.abs(c) <= 1]
    assert (np.diff(margin.psi(c, m)) >= 0).all()
    assert margin.psi(real(1), m) == 1 and margin.psi(real(-1), m) == 1 - 2 * m
    assert type(margin.psi(real(1), m)) is real
    for k in range(m + 1):
        assert abs(margin.psi(real(math.cos(k * math.pi / m)), m) - (1 - 2 * k)) <= PSI_BOUND * np.finfo(dtype).eps * m


def test_psi_shapes_and_specials():
    assert margin.psi([[1, 0], [-1, 0]], 3).shape == (2, 2)
    assert math.isnan(margin.psi(math.nan, 4))
    assert margin.psi(np.empty((0, 3)), 2).shape == (0, 3)
    assert margin.psi(np.nextafter(1.0, 2), 4) >= 1.0
    assert margin.psi(np.float16(0.5), 2).dtype == np.float16
    got = margin.psi(array_api_strict.asarray([1.0, 0.5, 0.0, -0.5, -1.0]), 2)
    np.testing.assert_array_equal(np.asarray(got), [1.0, -0.5, -1.0, -1.5, -3.0])


def test_annealed_lambda():
    options = {"base": 1000.0, "gamma": 0.12, "power": 1.0, "minimum": 5.0}
    assert margin.annealed_lambda(0, **options) == 1000.0
    assert margin.annealed_lambda(1, **options) == pytest.approx(1000 / 1.12, rel=1e-14)
    assert margin.annealed_lambda(10**6, **options) == 5.0
    assert margin.annealed_lambda(5, base=1, gamma=0, power=1, minimum=0) == 1.0
    assert type(margin.annealed_lambda(np.int64(3), **options)) is float
    with pytest.raises(ValueError, match="iteration must be finite, at least 0"):
        margin.annealed_lambda(-1, **options)
    with pytest.raises(TypeError, match="base must be one real number"):
        margin.annealed_lambda(1, base="1", gamma=0, power=1, minimum=0)


# ---- What goes in and what comes out ----


@pytest.mark.parametrize("name", NAMES)
def test_other_libraries(name):
    """array-api-strict and longdouble take the same formulas in their own numbers."""
    function, options, _ = LOSSES[name]
    x, weight, labels = normal(4, 6), normal(5, 6), np.array([0, 1, 2, 0])
    x[0], x[1] = 2 * weight[0], -weight[1]
    expected = function(x, weight, labels, return_grad=True, **options)
    strict = [array_api_strict.asarray(v) for v in (x, weight, labels)]
    for got, value in zip(function(*strict, return_grad=True, **options), expected, strict=True):
        assert type(got) is type(strict[0]) and got.dtype == array_api_strict.float64
        np.testing.assert_allclose(np.asarray(got), value, rtol=0, atol=1e-13 * max(1, np.max(np.abs(value))))
    got = function(x.astype("longdouble"), weight.astype("longdouble"), labels, return_grad=True, **options)
    for wide, value in zip(got, expected, strict=True):
        assert wide.dtype == np.longdouble
        np.testing.assert_allclose(wide.astype(float), value, rtol=0, atol=1e-13 * max(1, np.max(np.abs(value))))


def test_dtypes():
    x, weight = normal(3, 4), normal(3, 4, seed=1)
    assert margin.arcface(x.tolist(), weight.tolist(), [0, 1, 2]) == margin.arcface(x, weight, (0, 1, 2))
    assert margin.arcface([[1, 2]], [[2, 1], [0, 3]], [1]).dtype == np.float64
    for labels in (np.array([0, 1, 2], "uint8"), np.array([0, 1, 2], "int16"), np.array([0, 1, 2], "uint64")):
        assert margin.arcface(x, weight, labels) == margin.arcface(x, weight, [0, 1, 2])
    narrow = margin.arcface(x.astype("float16"), weight.astype("float16"), [0, 1, 2], return_grad=True)
    assert all(result.dtype == np.float16 for result in narrow)
    mixed = margin.arcface(x.astype("float32"), weight, [0, 1, 2], return_grad=True)
    assert all(result.dtype == np.float64 for result in mixed)


@pytest.mark.parametrize("name", NAMES)
def test_empty_batch(name, dtype):
    function, options, _ = LOSSES[name]
    x, weight = np.empty((0, 4), dtype), normal(3, 4).astype(dtype)
    for labels in (np.empty(0, "int64"), []):
        loss, grad_x, grad_weight = function(x, weight, labels, return_grad=True, **options)
        assert loss == 0.0 and loss.dtype == dtype
        assert grad_x.shape == (0, 4) and grad_weight.shape == (3, 4) and not grad_weight.any()
    assert function(x, weight, [], reduction="none", **options).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_in_its_row(name):
    function, options, _ = LOSSES[name]
    x, weight, labels = normal(4, 6), normal(5, 6), [0, 1, 2, 0]
    expected = function(x, weight, labels, reduction="none", **options)
    for bad in (math.nan, math.inf):
        x[1, 2] = bad
        items, grad_x, _ = function(x, weight, labels, reduction="none", return_grad=True, **options)
        assert np.isnan(items).tolist() == [False, True, False, False]
        np.testing.assert_array_equal(items[[0, 2, 3]], expected[[0, 2, 3]])
        assert np.isnan(grad_x).any(axis=1).tolist() == [False, True, False, False]


X, WEIGHT, LABELS = normal(3, 4), normal(5, 4), [0, 4, 2]
ZERO_ROW = np.array([[1.0, 0], [0, 0], [0, 0]])
REFUSED = [
    (ValueError, r"labels\[1\] is 5, which is not one of the 5 classes", {"labels": [0, 5, 9]}),
    (ValueError, r"labels\[2\] is -1, which is not one of the 5 classes", {"labels": [0, 4, -1]}),
    (ValueError, r"labels must have shape \(3,\)", {"labels": [0, 4]}),
    (ValueError, r"labels must have shape \(3,\)", {"labels": [[0], [4], [2]]}),
    (TypeError, "labels must be integers, not float64", {"labels": [0.0, 1.0, 2.0]}),
    (TypeError, "labels must be integers, not bool", {"labels": [True, False, True]}),
    (TypeError, "labels is a masked array", {"labels": np.ma.MaskedArray(LABELS, [0, 1, 0])}),
    (TypeError, "x is a masked array", {"x": np.ma.MaskedArray(X)}),
    (TypeError, "weight is a masked array", {"weight": np.ma.MaskedArray(WEIGHT)}),
    (TypeError, "return_grad must be True or False", {"return_grad": "no"}),
    (ValueError, "reduction must be one of", {"reduction": np.array(["mean", "sum"])}),
    (TypeError, "labels must be numeric", {"labels": ["a", "b", "c"]}),
    (ValueError, r"x\[1\] is a zero vector", {"x": ZERO_ROW, "weight": normal(5, 2)}),
    (ValueError, r"weight\[1\] is a zero vector", {"x": normal(3, 2), "weight": ZERO_ROW, "labels": [0, 0, 0]}),
    (ValueError, r"x\[0\] is a zero vector", {"x": np.empty((3, 0)), "weight": np.empty((5, 0))}),
    (ValueError, r"x must have shape \(N, K\), not \(4,\)", {"x": normal(4)}),
    (ValueError, r"weight must have shape \(C, K\)", {"weight": 3.0}),
    (ValueError, "rows of the same length", {"weight": normal(5, 3)}),
    (ValueError, "weight must have at least one row", {"weight": np.empty((0, 4))}),
    (TypeError, "x must be real", {"x": X + 1j}),
    (TypeError, "x is not a rectangular array", {"x": [[1.0, 2.0], [3.0]]}),
    (ValueError, "reduction must be one of 'mean', 'sum', 'none', not 'avg'", {"reduction": "avg"}),
    (ValueError, "gradient must be one of 'true', 'detached', not True", {"gradient": True}),
]


@pytest.mark.parametrize(("error", "words", "changed"), REFUSED, ids=[words for _, words, _ in REFUSED])
def test_refused(error, words, changed):
    call = {"x": X, "weight": WEIGHT, "labels": LABELS, "return_grad": True, **changed}
    for name in ("modified_softmax", "l_softmax, m=4", "arcface, sub"):
        with pytest.raises(error, match=words):
            LOSSES[name][0](**call)


@pytest.mark.parametrize(
    ("function", "error", "words", "options"),
    [
        (margin.l_softmax, TypeError, "m must be an integer, not 4.0", {"m": 4.0}),
        (margin.a_softmax, ValueError, "m must be at least 1, not 0", {"m": 0}),
        (margin.a_softmax, ValueError, "lam must be finite, at least 0, not -1", {"lam": -1}),
        (margin.l_softmax, ValueError, "lam must be finite", {"lam": math.inf}),
        (margin.am_softmax, ValueError, "m must be finite, not nan", {"m": math.nan}),
        (margin.am_softmax, ValueError, "scale must be positive", {"scale": 0}),
        (margin.am_softmax, TypeError, "scale must be one real number", {"scale": "30"}),
        (margin.arcface, ValueError, "m must be finite in .* not 28.6 .it is an angle in radians", {"m": 28.6}),
        (margin.arcface, ValueError, "m must be finite in", {"m": -0.1}),
        (margin.arcface, ValueError, "beyond must be one of 'sub', 'wrap', 'clamp', 'easy', not 'easy_margin'",
         {"beyond": "easy_margin"}),
        (margin.combined_margin, ValueError, "m1 must be positive", {"m1": 0.0}),
        (margin.combined_margin, ValueError, "m2 must be finite in", {"m2": 4.0}),
    ],
)  # fmt: skip
def test_refused_options(function, error, words, options):
    with pytest.raises(error, match=words):
        function(X, WEIGHT, LABELS, **options)


def test_pi_of_the_reference():
    with localcontext(context(60)):
        assert ulp_error(math.pi, pi(60), "float64") < 0.5


def test_whatever_numpy_raises_for():
    """Underflow and overflow on the way raise nothing, however NumPy's errors are set."""
    with np.errstate(all="raise"):
        margin.arcface([[1.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]], [0], scale=1e-310, return_grad=True)
        assert np.isnan(margin.modified_softmax([[1e308, 0.0], [np.nan, 0.0]], np.eye(2), [1, 1]))
