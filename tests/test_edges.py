"""Special values (every row of the contract's table), every short length, and what is written where."""

import math

import array_api_strict
import numpy as np
import pytest

import stablesoft
from cases import CASES, PLAIN, rows
from exact import worst

INF, NAN = np.inf, np.nan
IDS = [case.id for case in PLAIN]
CASES_BY_NAME = {case.name: case for case in PLAIN}
CASES_AT_3 = {case.name: case for case in CASES if case.kwargs == {"temperature": 3.0}}


def check(got, expected, dtype):
    """Equal values (NaN equal to NaN, zeros by value) of the right type."""
    assert np.asarray(got).dtype == dtype
    np.testing.assert_array_equal(got, np.array(expected, dtype=dtype))


# ---- empty -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, -1, (0,)])
def test_empty_vector(dtype, axis):
    x = np.zeros(0, dtype)
    check(stablesoft.logsumexp(x, axis=axis), -INF, dtype)
    value, sign = stablesoft.logsumexp(x, axis=axis, return_sign=True)
    check(value, -INF, dtype)
    assert sign == 0
    check(stablesoft.softmax(x, axis=axis), x, dtype)
    check(stablesoft.log_softmax(x, axis=axis), x, dtype)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3)])
def test_empty_array(dtype, shape):
    x = np.zeros(shape, dtype)
    for axis in (None, *range(len(shape)), tuple(range(len(shape)))):
        for keepdims in (False, True):
            expected = np.full(x.sum(axis=axis, keepdims=keepdims).shape, -INF, dtype)
            check(stablesoft.logsumexp(x, axis=axis, keepdims=keepdims), expected, dtype)
        assert stablesoft.softmax(x, axis=axis).shape == shape
        assert stablesoft.log_softmax(x, axis=axis).shape == shape


# ---- infinities and NaN ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 8, 17, 70])
def test_all_minus_infinity(dtype, n):
    x = np.full(n, -INF, dtype)
    check(stablesoft.logsumexp(x), -INF, dtype)
    check(stablesoft.softmax(x), [NAN] * n, dtype)
    check(stablesoft.log_softmax(x), [NAN] * n, dtype)
    value, sign = stablesoft.logsumexp(x, return_sign=True)
    assert (value, sign) == (-INF, 0)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [5, 16, 70])
def test_plus_infinity(dtype, n, k):
    """k elements of +inf share everything, beside numbers and -inf alike."""
    x = np.linspace(-3, 700, n).astype(dtype)
    x[1] = -INF
    places = np.random.default_rng(n + k).permutation(n)[:k]
    x[places] = INF
    there = np.isin(np.arange(n), places)
    check(stablesoft.logsumexp(x), INF, dtype)
    check(stablesoft.logmeanexp(x), INF, dtype)
    check(stablesoft.softmax(x), np.where(there, 1 / k, 0), dtype)
    got = stablesoft.log_softmax(x)
    assert (got[~there] == -INF).all()
    error, _ = worst(got[there], CASES_BY_NAME["log_softmax"].values([INF] * k), dtype)
    assert error <= 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("n", [1, 2, 9, 15, 16, 33, 70])
def test_nan(case, dtype, n):
    """NaN anywhere, beside any other value, makes its slice NaN and no other slice."""
    for beside in (0.0, -INF, INF):
        for place in {0, n // 2, n - 1}:
            x = np.zeros((3, n), dtype)
            x[1] = beside
            x[1, place] = NAN
            got = case(stablesoft, x, axis=1)
            assert np.isnan(got[1]).all()
            assert np.isfinite(got[[0, 2]]).all()


def test_one_element(dtype):
    for value in (0.0, -0.0, 1.5, -1e30, 1e-38, float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal)):
        x = np.array([value], dtype)
        check(stablesoft.logsumexp(x), x[0], dtype)
        check(stablesoft.logmeanexp(x), x[0], dtype)
        check(stablesoft.softmax(x), [1], dtype)
        check(stablesoft.log_softmax(x), [0], dtype)
        assert stablesoft.logsumexp(np.array([INF], dtype)) == INF


def test_largest_differences_do_not_overflow(dtype):
    big = np.finfo(dtype).max
    x = np.array([big, -big], dtype)
    check(stablesoft.softmax(x), [1, 0], dtype)
    check(stablesoft.logsumexp(x), big, dtype)
    # The exact value, -2 big, is outside the range of the type.
    check(stablesoft.log_softmax(x), [0, -INF], dtype)


# ---- where ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 9, 16, 40])
def test_where_false_everywhere(dtype, n):
    x = np.arange(n).astype(dtype)
    none = np.zeros(n, bool)
    check(stablesoft.logsumexp(x, where=none), -INF, dtype)
    check(stablesoft.softmax(x, where=none), [0] * n, dtype)
    check(stablesoft.log_softmax(x, where=none), [-INF] * n, dtype)
    check(stablesoft.logmeanexp(x, where=none), NAN, dtype)


@pytest.mark.parametrize("hidden", [NAN, INF, -INF, 1e30, 0.0])
@pytest.mark.parametrize("n", [5, 16, 43])
def test_where(dtype, n, hidden):
    """Elements left out are as absent, whatever they hold; compared bit for bit with the row without them."""
    random = np.random.default_rng(n)
    x = random.normal(0, 4, n).astype(dtype)
    where = random.random(n) < 0.6
    where[0], where[1] = True, False
    kept = x[where].copy()
    x[~where] = hidden
    check(stablesoft.logsumexp(x, where=where), stablesoft.logsumexp(kept), dtype)
    check(stablesoft.logmeanexp(x, where=where), stablesoft.logmeanexp(kept), dtype)
    for name, absent in (("softmax", 0), ("log_softmax", -INF)):
        function = getattr(stablesoft, name)
        got = function(x, where=where)
        check(got[where], function(kept), dtype)
        check(got[~where], np.full((~where).sum(), absent), dtype)
        case = CASES_AT_3[name]
        got = case(stablesoft, x, where=where)
        assert worst(got[where], case.values(kept), dtype)[0] <= case.bound
        check(got[~where], np.full((~where).sum(), absent), dtype)


@pytest.mark.parametrize("case", [case for case in CASES if not case.reduces], ids=lambda case: case.id)
@pytest.mark.parametrize("beside", [NAN, INF, -INF])
@pytest.mark.parametrize("n", [3, 9, 16, 43])
def test_where_beside_special_values(case, dtype, n, beside):
    """What does not take part is 0 or -inf, also in slices of NaN: by the kernels and by the definitions."""
    where = np.random.default_rng(n).random(n) < 0.6
    where[:3] = True, False, True
    absent = 0 if case.name == "softmax" else -INF
    for others in (np.linspace(-1, 1, n), np.full(n, -INF), np.full(n, INF)):
        for hidden in (NAN, INF, 0.0):
            x = others.astype(dtype)
            x[0] = beside
            x[~where] = hidden
            got = case(stablesoft, x, where=where)
            check(got[~where], np.full((~where).sum(), absent), dtype)
            check(got[where], case(stablesoft, x[where]), dtype)
            strict = case(stablesoft, array_api_strict.asarray(x), where=array_api_strict.asarray(where))
            # the definition rounds exponents of up to 20
            np.testing.assert_allclose(np.asarray(strict), got, rtol=40 * float(np.finfo(dtype).eps), atol=0)


def test_where_broadcasts(dtype):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(dtype)
    x[:, 1] = NAN
    where = np.array([True, False, True, True])[:, None]
    full = np.broadcast_to(where, x.shape)
    for case in PLAIN:
        for axis in (None, 0, 1, 2, (0, 1)):
            got = case(stablesoft, x, axis=axis, where=where)
            check(got, case(stablesoft, x, axis=axis, where=full), dtype)
            if axis not in (0, 2):  # along these, whole slices are left out
                assert np.isfinite(got).any()


# ---- weights ---------------------------------------------------------------------------------------------------


def test_weights_ignore_zero(dtype):
    a = np.array([1, NAN, INF, 2, -INF], dtype)
    b = np.array([1, 0, 0, 1, 3], dtype)
    check(stablesoft.logsumexp(a, b=b), stablesoft.logsumexp(a[[0, 3]], b=b[[0, 3]]), dtype)
    value, sign = stablesoft.logsumexp(a, b=np.zeros(5, dtype), return_sign=True)
    assert (value, sign) == (-INF, 0)


def test_weights_large():
    """709.889 = log(2e308) is representable although 2e308 is not."""
    got = stablesoft.logsumexp([0.0, 0.0], b=[1e308, 1e308])
    assert math.isclose(got, math.log(2) + math.log(1e308), rel_tol=4e-16)


def test_weights_negative_sum(dtype):
    a, b = np.array([0, 1], dtype), np.array([1, -1], dtype)
    assert np.isnan(stablesoft.logsumexp(a, b=b))
    value, sign = stablesoft.logsumexp(a, b=b, return_sign=True)
    assert sign == -1
    assert math.isclose(value, math.log(math.e - 1), rel_tol=8 * float(np.finfo(dtype).eps))
    value, sign = stablesoft.logsumexp(np.zeros(2, dtype), b=b, return_sign=True)
    assert (value, sign) == (-INF, 0)


def test_weights_infinite(dtype):
    a = np.array([INF, 0], dtype)
    assert stablesoft.logsumexp(a, b=[2, 1]) == INF
    assert stablesoft.logsumexp(a, b=[-2, 1], return_sign=True) == (INF, -1)
    assert np.isnan(stablesoft.logsumexp(a, b=[-2, 1]))


# ---- lengths and memory ----------------------------------------------------------------------------------------


def guarded(shape, dtype, fill=0xA5, room=256):
    """An array of 77s between two guards, and a function that says whether the guards are untouched."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.full(size + 2 * room, fill, np.uint8)
    inside = memory[room : room + size].view(dtype).reshape(shape)
    inside[...] = 77
    return inside, lambda: (memory[:room] == fill).all() and (memory[room + size :] == fill).all()


@pytest.mark.parametrize("case", PLAIN, ids=IDS)
def test_guards(case, dtype):
    """Every n from 1 to 70: `out` is filled, not a byte beside it changes, and input bits stay."""
    random = np.random.default_rng(4)
    for n in range(1, 71):
        for outer in (1, 3, 9):
            x, x_intact = guarded((outer, n), dtype)
            x[...] = random.normal(0, 9, (outer, n))
            before = x.tobytes()
            expected = case(stablesoft, x.copy(), axis=1)
            out, intact = guarded(expected.shape, dtype)
            case(stablesoft, x, axis=1, out=out)
            assert intact() and x_intact(), (n, outer)
            assert out.tobytes() == expected.tobytes(), (n, outer)
            assert x.tobytes() == before
            # Down the columns.
            if outer > 1:
                down = np.ascontiguousarray(x.T)
                shape = (outer,) if case.reduces else (n, outer)
                out, intact = guarded(shape, dtype)
                case(stablesoft, down, axis=0, out=out)
                assert intact(), (n, outer)
                assert (out if case.reduces else out.T).tobytes() == expected.tobytes(), (n, outer)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 2)])
def test_in_place(dtype, name, axis):
    function = getattr(stablesoft, name)
    for shape in ((3, 5, 7), (4, 40, 50)):
        x = np.random.default_rng(1).normal(0, 5, shape).astype(dtype)
        expected = function(x, axis=axis)
        assert function(x, axis=axis, out=x) is x
        assert x.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_out_overlaps_input(dtype, name):
    """A shifted or reversed view of the input as `out` gives what separate memory would."""
    function = getattr(stablesoft, name)
    random = np.random.default_rng(8)
    for n in (10, 40, 3000):
        memory = random.normal(size=n + 8).astype(dtype)
        for view, target in (
            (memory[:n], memory[8:]),
            (memory[8:], memory[:n]),
            (memory[:n], memory[:n][::-1]),
        ):
            x = view.copy()
            view[...] = x
            function(view, out=target)
            assert target.tobytes() == function(x).tobytes(), n


BAD = {
    "axis": {"axis": 5},
    "temperature": {"temperature": 0.0},
    "where": {"where": np.ones((7, 7), bool)},
    "floor": {"floor": 2.0},
}


@pytest.mark.parametrize(
    ("name", "argument"),
    [("softmax", key) for key in BAD]
    + [("log_softmax", key) for key in ("axis", "temperature", "where")]
    + [(name, key) for name in ("logsumexp", "logmeanexp") for key in ("axis", "where")],
)
def test_out_untouched_on_error(dtype, name, argument):
    x = np.ones((2, 3), dtype)
    out = np.full((2, 3) if "softmax" in name else (), 77, dtype)
    with pytest.raises(ValueError, match=argument):
        getattr(stablesoft, name)(x, out=out, **BAD[argument])
    assert (out == 77).all()


def test_no_warning_and_no_floating_point_error(dtype):
    """np.errstate turns any stray overflow, 0/0 or log 0 in Python code into an error, on the generic path as well."""
    with np.errstate(all="raise", under="ignore"):
        for row in rows(dtype).values():
            for case in CASES:
                case(stablesoft, row)
                if dtype == "float64":
                    case(stablesoft, row.astype("longdouble"))


def test_log_softmax_near_overflow():
    """The difference of two elements may use up the exponent range on the way, not in the result."""
    peak = np.finfo(np.float64).max
    for other in (8e307, 3e307, 3.6703573398726286e307, 5e307, -0.0):
        for n in (2, 3, 17, 65, 100):
            x = np.full(n, other)
            x[0] = peak
            for got in (stablesoft.log_softmax(x), stablesoft.log_softmax(np.tile(x, (40, 1)).T, axis=0)[:, 7]):
                np.testing.assert_array_equal(got, np.where(x == peak, 0.0, other - peak))
