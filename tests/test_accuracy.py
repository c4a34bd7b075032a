"""Every function of the table on every named row and on fuzzed rows: the error in ulps stays within the bound."""

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

import cases
import stablesoft
import strategies
from exact import exact_weighted, ulp, ulp_error, worst


def check(case, row, got, dtype):
    assert np.asarray(got).dtype == dtype
    error, position = worst(got, case.values(row), dtype)
    assert error <= case.bound, (
        f"{case.id}: {error:.4g} ulp, bound {case.bound}, at {position}: got {np.ravel(got)[position]!r}, "
        f"exact {case.values(row)[position]:.25g}, row {[float(v).hex() for v in row[:6]]}"
    )


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.id)
@pytest.mark.parametrize(
    ("dtype", "name"), [(dtype, name) for dtype in cases.DTYPES for name in cases.ROW_NAMES[dtype]]
)
def test_named_rows(case, dtype, name):
    row = cases.rows(dtype)[name]
    check(case, row, case(stablesoft, row), dtype)


@pytest.mark.parametrize("case", cases.PLAIN, ids=lambda case: case.id)
def test_every_length(case, dtype):
    random = np.random.default_rng(1)
    for n in range(1, 71):
        row = random.normal(0, 3, n).astype(dtype)
        check(case, row, case(stablesoft, row), dtype)


@pytest.mark.parametrize("case", cases.PLAIN, ids=lambda case: case.id)
@pytest.mark.parametrize("n", [2, 5, 10, 15, 16, 40])
def test_many_rows(case, dtype, n):
    """Many rows of random length-n logits, as a classifier has them: short rows have a kernel of their own."""
    random = np.random.default_rng(n)
    x = (random.normal(size=(60, n)) * 10.0 ** random.uniform(-2, 2, size=(60, 1))).astype(dtype)
    got = case(stablesoft, x, axis=1)
    for j, row in enumerate(x):
        check(case, row, got[j], dtype)


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.id)
@given(data=st.data())
def test_fuzz(case, data):
    for dtype in cases.DTYPES:
        # Infinite elements have values of their own under a floor or a weight: test_edges.py states them.
        strategy = strategies.finite_rows if "floor" in case.kwargs else strategies.rows
        row = data.draw(strategy(dtype), label=dtype)
        check(case, row, case(stablesoft, row), dtype)


@pytest.mark.parametrize("case", cases.PLAIN, ids=lambda case: case.id)
@given(data=st.data())
def test_fuzz_near_cancelling(case, data):
    for dtype in cases.DTYPES:
        row = data.draw(strategies.near_cancelling(dtype), label=dtype)
        check(case, row, case(stablesoft, row), dtype)


WANTED = {
    "NaN": lambda row: np.isnan(row).any(),
    "+inf": lambda row: (row == np.inf).any(),
    "-inf": lambda row: (row == -np.inf).any() and np.isfinite(row).any(),
    "huge": lambda row: (np.abs(row[np.isfinite(row)]) > 1e30).any(),
    "subnormal": lambda row: ((row != 0) & (np.abs(row) < np.finfo(row.dtype).smallest_normal)).any(),
    "ties": lambda row: row.size > 3 and np.unique(row).size < row.size - 1,
    "spread": lambda row: np.isfinite(row).all() and 1 < np.ptp(row.astype("float64")) < 30,
    "near 0": lambda row: (
        np.isfinite(row).all() and (row < -0.1).all() and abs(np.logaddexp.reduce(row.astype("float64"))) < 1e-6
    ),
}


@pytest.mark.parametrize("what", WANTED)
def test_strategy_reaches(dtype, what):
    """A generator that never makes the hard rows would pass every test above; find() raises where it can not."""
    assert WANTED[what](find(strategies.rows(dtype), WANTED[what]))


def test_rows_are_spread(dtype):
    """The named rows are different from each other, and finite unless their name says otherwise."""
    named = cases.rows(dtype)
    assert len({row.tobytes() for row in named.values()}) == len(named)
    assert all(np.isfinite(row).all() for name, row in named.items() if "masked" not in name)


def weighted_limit(value, condition, dtype):
    """4 ulp of the result; with weights of both signs 4 ulp of the sum of magnitudes, seen through the log."""
    if condition == 1:
        return 4
    return 4 + 4 * float(condition) * float(np.finfo(dtype).eps) / float(ulp(value, dtype))


@pytest.mark.parametrize("signs", ["one sign", "both signs"])
def test_weighted(dtype, signs):
    random = np.random.default_rng(3)
    for n in (1, 2, 5, 16, 33, 200):
        for scale in (1e-3, 1.0, 30.0):
            a = random.normal(0, scale, n).astype(dtype)
            b = random.uniform(0.01, 3, n).astype(dtype)
            if signs == "both signs":
                b[::2] *= -1
            value, sign, condition = exact_weighted(a.tolist(), b.tolist())
            got, got_sign = stablesoft.logsumexp(a, b=b, return_sign=True)
            assert got_sign == sign
            error = ulp_error(got, value, dtype)
            assert error <= weighted_limit(value, condition, dtype), (n, scale, error, float(condition))
            assert got.dtype == dtype
            plain = stablesoft.logsumexp(a, b=b)
            np.testing.assert_array_equal(plain, got if sign > 0 else np.nan)


def test_weighted_extremes():
    """The weight's logarithm takes part in the shift, so a weight near the largest float does not overflow."""
    for a, b in [
        ([0.0, 0.0], [1e308, 1e308]),
        ([700.0, -700.0], [1e-300, 1e308]),
        ([1000.0, 0.0], [1e-320, 1.0]),
        ([-1e5, -1e5 - 1], [2.0, 3.0]),
        ([1.7e308, 0.0], [3.0, 1e300]),
        ([0.0, 0.0], [0.75, 0.25]),
    ]:
        value, _, _ = exact_weighted(a, b)
        got = stablesoft.logsumexp(a, b=b)
        assert ulp_error(got, value, "float64") <= 4, (a, b, got, value)
