"""Identities that hold for the exact functions, so the computed ones may miss them only by their bounds."""

import math
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import stablesoft
import strategies
from exact import ulp, ulp_error

DTYPES = st.sampled_from(["float32", "float64"])
ROWWISE = st.sampled_from(["softmax", "log_softmax"])
REDUCTIONS = st.sampled_from(["logsumexp", "logmeanexp"])


def same_bits(a, b):
    """Equal as bytes; one NaN is as good as another."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype and a.shape == b.shape
    assert np.array_equal(np.isnan(a), np.isnan(b))
    a, b = np.where(np.isnan(a), a.dtype.type(0), a), np.where(np.isnan(b), b.dtype.type(0), b)
    assert a.tobytes() == b.tobytes(), (a, b)


def unit(value, dtype):
    return ulp(Decimal(float(value)), dtype)


@st.composite
def grid_and_shift(draw):
    """A row and a constant on one grid, so that row + constant is exact."""
    dtype = draw(DTYPES)
    bits = 22 if dtype == "float32" else 51
    grid = 2.0 ** -draw(st.integers(4, 14))
    reach = min(2**bits // 4, int(60 / grid))
    row = draw(st.lists(st.integers(-reach, reach), min_size=1, max_size=10))
    shift = draw(st.integers(-(2**bits) // 2, 2**bits // 2))
    return dtype, np.array(row, dtype="float64") * grid, shift * grid


@given(grid_and_shift())
def test_shift(drawn):
    dtype, row, shift = drawn
    x, moved = row.astype(dtype), (row + shift).astype(dtype)
    for v, w in zip(x.tolist(), moved.tolist(), strict=True):
        assert Fraction(v) + Fraction(shift) == Fraction(w)  # the shift is exact, or the identity means nothing
    for name in ("softmax", "log_softmax"):
        here, there = getattr(stablesoft, name)(x), getattr(stablesoft, name)(moved)
        for a, b in zip(here.tolist(), there.tolist(), strict=True):
            # Each within 1 ulp of one exact value.
            assert abs(Fraction(a) - Fraction(b)) <= 2 * max(unit(a, dtype), unit(b, dtype)), name
    for name in ("logsumexp", "logmeanexp"):
        here, there = getattr(stablesoft, name)(x), getattr(stablesoft, name)(moved)
        distance = abs(Fraction(float(here)) + Fraction(shift) - Fraction(float(there)))
        # 1 ulp each; doubled, since the exact value may lie in the binade above the computed one.
        assert distance <= 2 * (unit(here, dtype) + unit(there, dtype)), name


@given(st.data(), ROWWISE)
def test_permutation_of_elements(data, name):
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.rows(dtype, 20), label=dtype)
        order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(x.size)
        function = getattr(stablesoft, name)
        same_bits(function(x[order]), function(x)[order])


@given(st.data(), REDUCTIONS)
def test_permutation_of_sum(data, name):
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.rows(dtype, 20), label=dtype)
        order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(x.size)
        function = getattr(stablesoft, name)
        same_bits(function(x[order]), function(x))


def test_permutation_of_long_rows(dtype):
    random = np.random.default_rng(11)
    for n in (100, 1000, 30_000):
        for scale in (0.1, 5, 100):
            x = random.normal(0, scale, n).astype(dtype)
            for order in (np.argsort(x), np.argsort(-x), random.permutation(n)):
                for name in ("softmax", "log_softmax"):
                    same_bits(getattr(stablesoft, name)(x[order]), getattr(stablesoft, name)(x)[order])
                for name in ("logsumexp", "logmeanexp"):
                    same_bits(getattr(stablesoft, name)(x[order]), getattr(stablesoft, name)(x))


@given(st.data())
def test_minus_infinity_adds_nothing(data):
    """Elements of -inf leave the bits of all others as they are."""
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.finite_rows(dtype), label=dtype)
        padded = np.concatenate([x, np.full(data.draw(st.integers(1, 20)), -np.inf, dtype)])
        same_bits(stablesoft.logsumexp(padded), stablesoft.logsumexp(x))
        same_bits(stablesoft.softmax(padded)[: x.size], stablesoft.softmax(x))
        same_bits(stablesoft.log_softmax(padded)[: x.size], stablesoft.log_softmax(x))
        assert not stablesoft.softmax(padded)[x.size :].any()


@given(st.data())
def test_exp_of_log_softmax(data):
    ctx = Context(prec=40)
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.finite_rows(dtype), label=dtype)
        for p, log_p in zip(stablesoft.softmax(x).tolist(), stablesoft.log_softmax(x).tolist(), strict=True):
            # An error of u in the logarithm is a relative error of e^u - 1 <= 1.01 u below u = 0.01.
            u = unit(log_p, dtype) if math.isfinite(log_p) else Fraction(0)
            power = Fraction(ctx.exp(Decimal(max(log_p, -2000.0))))
            if u < Fraction(1, 100):
                # 2 ulp of p: p itself is within 1 ulp of the exact value, which may lie in the next binade.
                assert abs(Fraction(p) - power) <= 2 * unit(p, dtype) + power * u * Fraction(101, 100), (p, log_p)
            else:
                assert p == 0


@given(st.data())
def test_softmax_sums_to_one(data):
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.finite_rows(dtype, 30), label=dtype)
        total = sum(map(Fraction, stablesoft.softmax(x).tolist()))
        # 1 ulp for each element: eps times the element (the ulps of normal numbers sum to eps) or one subnormal.
        info = np.finfo(dtype)
        limit = Fraction(float(info.eps)) + x.size * Fraction(float(info.smallest_subnormal))
        assert abs(total - 1) <= limit * (1 + Fraction(float(info.eps)))


@given(st.data())
def test_equal_elements(data):
    """logsumexp of n times x is x + log n, logmeanexp is x, softmax is 1/n, log_softmax is -log n."""
    ctx = Context(prec=800)
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.any_scale(dtype, 1), label=dtype)[0]
        n = data.draw(st.integers(1, 40))
        row = np.full(n, x)
        log_n = Context(prec=60).ln(Decimal(n))
        expected = ctx.add(Decimal(float(x)), log_n)
        assert ulp_error(stablesoft.logsumexp(row), expected, dtype) <= 1
        assert ulp_error(stablesoft.logmeanexp(row), Decimal(float(x)), dtype) <= 1
        share = stablesoft.softmax(row)
        assert np.unique(share).size == 1
        assert ulp_error(share[0], Context(prec=60).divide(Decimal(1), Decimal(n)), dtype) <= 1
        assert ulp_error(stablesoft.log_softmax(row)[-1], -log_n, dtype) <= 1


@given(st.data())
def test_split_and_merge(data):
    """logsumexp of two parts' logsumexp is that of the whole: it moves by no more than its arguments do."""
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.moderate(dtype, 20), label=dtype)
        y = data.draw(strategies.moderate(dtype, 20), label=dtype)
        parts = np.array([stablesoft.logsumexp(x), stablesoft.logsumexp(y)])
        assert parts.dtype == dtype
        merged, whole = stablesoft.logsumexp(parts), stablesoft.logsumexp(np.concatenate([x, y]))
        limit = max(unit(p, dtype) for p in parts) + unit(merged, dtype) + unit(whole, dtype)
        # Doubled for binades, as above.
        assert abs(Fraction(float(merged)) - Fraction(float(whole))) <= 2 * limit


@given(st.data())
def test_power_of_two_temperature_is_a_scaling(data):
    """x / 2^k is exact, so the temperature and the division by hand describe one exact value."""
    for dtype in ("float32", "float64"):
        x = data.draw(strategies.moderate(dtype), label=dtype)
        k = data.draw(st.integers(-3, 3))
        scaled = np.ldexp(x, -k)
        if not np.array_equal(np.ldexp(scaled, k), x):
            continue  # a subnormal lost bits
        for name in ("softmax", "log_softmax"):
            function = getattr(stablesoft, name)
            pairs = zip(function(x, temperature=2.0**k).tolist(), function(scaled).tolist(), strict=True)
            for a, b in pairs:
                # 4 ulp with a temperature and 1 without; doubled for binades.
                assert abs(Fraction(a) - Fraction(b)) <= 10 * max(unit(a, dtype), unit(b, dtype)), name
