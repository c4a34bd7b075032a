"""Results next to 0, which fixed point of as many digits as it takes rounds correctly: tiny inputs, sums next to 1."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stablesoft
from exact import exact_logmeanexp, exact_logsumexp, ulp_error
from strategies import partner

# The exact values are known to 20 digits.
HALF = 0.5 + 1e-3


def tiny_rows(dtype):
    """Rows of numbers next to 0, every scale."""
    random = np.random.default_rng(21)
    least = float(np.finfo(dtype).smallest_subnormal)
    for n in (2, 3, 5, 64, 1000):
        yield "subnormal", n, random.integers(1, 200, n) * least
        yield "subnormal, both signs", n, random.integers(-200, 200, n) * least
        for scale in (1e-44, 1e-37, 1e-20, 1e-12, 3e-10, 1e-9, 1e-6):
            yield f"N(0,{scale:g})", n, random.normal(0, scale, n)
            yield f"{scale:g} and a little", n, scale * (1 + 1e-5 * random.normal(size=n))
        if dtype == "float64":
            for scale in (1e-310, 1e-300, 1e-160, 1e-100):
                yield f"N(0,{scale:g})", n, random.normal(0, scale, n)
                # the first order cancels, the second order is left: subnormal for 1e-160
                x = random.normal(0, scale, n)
                yield f"+-{scale:g}", 2 * n, np.concatenate([x, -x])


@pytest.mark.parametrize("shuffled", [False, True])
def test_logmeanexp_of_tiny_rows(dtype, shuffled):
    for name, n, row in tiny_rows(dtype):
        x = row.astype(dtype)
        if shuffled:
            x = np.random.default_rng(n).permutation(x)
        exact = exact_logmeanexp(tuple(x.tolist()))
        assert ulp_error(stablesoft.logmeanexp(x), exact, dtype) <= HALF, (name, n)


def test_mean_halfway_between_two_numbers(dtype):
    """The mean is a tie of two neighbours; what exp adds, far below all digits of the sum, decides: upwards."""
    least = float(np.finfo(dtype).smallest_subnormal)
    one = np.dtype(dtype).type
    for low in (one(100 * least), one(101 * least), one(-100 * least), one(-101 * least), one(1e-30)):
        high = np.nextafter(low, one(1))
        for n in (2, 10, 3000):
            x = np.where(np.arange(n) % 2, low, high).astype(dtype)
            assert stablesoft.logmeanexp(x) == high, (low, n)
            x = np.append(x, [low, low])
            assert stablesoft.logmeanexp(x) == low, (low, n)


def test_zero_is_positive(dtype):
    least = float(np.finfo(dtype).smallest_subnormal)
    for x in ([0.0, -0.0, 0.0], [5 * least, -5 * least], [0.0, 0.0]):
        got = stablesoft.logmeanexp(np.array(x, dtype))
        assert got == 0 and not np.signbit(got)


@pytest.mark.parametrize("n", [2, 3, 40])
def test_confident_log_probabilities(dtype, n):
    """A tiny negative peak and others that make up for it, to all digits but a few."""
    random = np.random.default_rng(n)
    for level in (-9.0, -22.0, -30.0, -46.0, -80.0, *([-300.0, -700.0] if dtype == "float64" else [])):
        x = random.normal(level, 0.5, n).astype(dtype)
        rest = sum(Decimal(float(v)).exp() for v in x[1:])
        for ulps in (0, 1, 3):
            x[0] = float((1 - rest).ln()) if level > -30 else -float(rest)
            for _ in range(ulps):
                x[0] = np.nextafter(x[0], np.array(-np.inf, dtype))
            exact = exact_logsumexp(tuple(x.tolist()))
            assert ulp_error(stablesoft.logsumexp(x), exact, dtype) <= HALF, (level, ulps)
            assert stablesoft.logsumexp(x[::-1]) == stablesoft.logcumsumexp(x)[-1] == stablesoft.logsumexp(x)
            if n == 2:
                assert stablesoft.logaddexp(*x) == stablesoft.logsumexp(x)


@given(st.data())
def test_fuzz(data):
    """Tiny numbers of very different size, and a pair that makes 1."""
    for dtype in ("float32", "float64"):
        lowest = 44 if dtype == "float32" else 322
        tiny = st.tuples(st.integers(4, lowest), st.floats(-1, 1)).map(lambda drawn: drawn[1] * 10.0 ** -drawn[0])
        x = np.array(data.draw(st.lists(tiny, min_size=1, max_size=8)), dtype)
        assert ulp_error(stablesoft.logmeanexp(x), exact_logmeanexp(tuple(x.tolist())), dtype) <= HALF
        peak = np.dtype(dtype).type(-abs(x[0]))
        if peak:
            more = data.draw(st.lists(st.floats(-800, -20, width=32), max_size=4))
            row = np.array([peak, partner(peak, dtype), *more], dtype)
            # what is large enough to need no fixed point is within the bound
            assert ulp_error(stablesoft.logsumexp(row), exact_logsumexp(tuple(row.tolist())), dtype) <= 1


def test_long_rows(dtype):
    """200,000 tiny elements; the mean of the exact numbers is right to the second order."""
    random = np.random.default_rng(22)
    least = float(np.finfo(dtype).smallest_subnormal)
    for scale in (least, 1e-30):
        x = (random.integers(1, 99, 200_000) * scale).astype(dtype)
        mean = Fraction(sum(map(Fraction, x.tolist())), x.size)
        exact = Decimal(mean.numerator) / Decimal(mean.denominator)
        assert ulp_error(stablesoft.logmeanexp(x), exact, dtype) <= HALF
