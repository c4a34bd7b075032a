"""Hypothesis strategies for rows: every scale, infinities, NaN, subnormals, ties, near-cancelling rows."""

import math

import numpy as np
from hypothesis import strategies as st

from cases import partner

WIDTH = {"float32": 32, "float64": 64}


def _as_row(dtype):
    return lambda values: np.array(values, dtype=dtype)


def _floats(dtype, low=None, high=None):
    if low is not None:
        low, high = float(np.dtype(dtype).type(low)), float(np.dtype(dtype).type(high))
    return st.floats(low, high, width=WIDTH[dtype], allow_nan=False, allow_infinity=False)


def moderate(dtype, max_size=12, reach=40.0):
    """Rows whose elements all matter: differences of a few e-foldings."""
    return st.lists(_floats(dtype, -reach, reach), min_size=1, max_size=max_size).map(_as_row(dtype))


def ties(dtype, max_size=12):
    """Rows over two or three values, so that peaks and second peaks repeat."""

    def pick(values):
        return st.lists(st.sampled_from(values), min_size=2, max_size=max_size)

    return st.lists(_floats(dtype, -100, 100), min_size=2, max_size=3, unique=True).flatmap(pick).map(_as_row(dtype))


def subnormals(dtype, max_size=8):
    least = float(np.finfo(dtype).smallest_subnormal)
    return st.lists(st.integers(-1000, 1000).map(lambda k: k * least), min_size=1, max_size=max_size).map(
        _as_row(dtype)
    )


def confident(dtype, max_size=12):
    """One logit far above the others: probabilities down to subnormal and 0, log_softmax close to 0."""
    lead = 110 if dtype == "float32" else 760

    def build(drawn):
        others, distance, place = drawn
        row = [*others, distance]
        place %= len(row)
        row[place], row[-1] = row[-1], row[place]
        return np.array(row, dtype=dtype)

    others = st.lists(_floats(dtype, -3, 3), min_size=1, max_size=max_size - 1)
    return st.tuples(others, _floats(dtype, 10, lead), st.integers(0, 99)).map(build)


def near_cancelling(dtype):
    """Pairs (and a pair split in two equal halves) whose logsumexp is almost 0."""
    least = -36.0 if dtype == "float64" else -16.0

    def build(drawn):
        a, split, ulps = drawn
        a = np.dtype(dtype).type(a)
        row = [a, partner(a, dtype)]
        if split:
            row = [a - math.log(2), a - math.log(2), row[1]]
        row = np.array(row, dtype=dtype)
        for _ in range(ulps):
            row[-1] = np.nextafter(row[-1], np.array(-np.inf, dtype))
        return row

    tiny = st.integers(1, 290 if dtype == "float64" else 36).map(lambda k: -(10.0**-k))
    return st.tuples(_floats(dtype, least, -1e-3) | tiny, st.booleans(), st.integers(0, 3)).map(build)


def any_scale(dtype, max_size=12):
    """Rows of any finite floats at all."""
    return st.lists(_floats(dtype), min_size=1, max_size=max_size).map(_as_row(dtype))


def offset(dtype, max_size=12):
    """A moderate row far from 0, rounded to the coarse grid there."""
    far = st.integers(-60, 60).flatmap(lambda e: st.sampled_from([2.0**e, -(2.0**e)]))
    return st.tuples(moderate(dtype, max_size), far).map(
        lambda drawn: (drawn[0].astype("float64") + drawn[1]).astype(dtype)
    )


def finite_rows(dtype, max_size=12):
    return st.one_of(
        moderate(dtype, max_size),
        ties(dtype, max_size),
        subnormals(dtype),
        confident(dtype, max_size),
        near_cancelling(dtype),
        any_scale(dtype, max_size),
        offset(dtype, max_size),
    )


def rows(dtype, max_size=12):
    """Finite rows, half of them with some elements replaced by infinities or NaN."""

    def spoil(drawn):
        row, places = drawn
        row = row.copy()
        for place, value in places:
            row[place % row.size] = value
        return row

    specials = st.sampled_from([-np.inf, -np.inf, -np.inf, np.inf, np.nan])
    places = st.lists(st.tuples(st.integers(0, max_size), specials), min_size=1, max_size=4)
    finite = finite_rows(dtype, max_size)
    return finite | st.tuples(finite, places).map(spoil)
