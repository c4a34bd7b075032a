"""logcumsumexp: every element has the bits of logsumexp of the elements that it sums over."""

import math
from decimal import Decimal

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reproducibility import assert_same_bits, hard_matrix, layouts

import cases
import stablesoft
import strategies
from exact import exact_logsumexp, ulp_error

INF, NAN = np.inf, np.nan
OPTIONS = [{}, {"reverse": True}, {"exclusive": True}, {"reverse": True, "exclusive": True}]
WITH_OPTIONS = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")


def expected(row, places, *, reverse=False, exclusive=False):
    """logsumexp of what the results at `places` sum over."""
    n = row.size
    spans = [slice(i + exclusive, n) if reverse else slice(0, i + 1 - exclusive) for i in places]
    return np.array([stablesoft.logsumexp(row[span]) for span in spans], row.dtype)


def some_places(n):
    """All of a short row; of a long one both ends, where blocks and tiles meet, and some between."""
    if n <= 300:
        return np.arange(n)
    edges = [0, 1, 2, 3, 126, 127, 128, 129, 4094, 4095, 4096, 4097, n - 2, n - 1]
    return np.unique([i for i in (*edges, *np.random.default_rng(n).integers(0, n, 30)) if i < n])


def check(row, **options):
    places = some_places(row.size)
    got = stablesoft.logcumsumexp(row, **options)
    assert got.shape == row.shape
    assert_same_bits(got[places], expected(row, places, **options), options)


@WITH_OPTIONS
@pytest.mark.parametrize(
    ("dtype", "name"), [(dtype, name) for dtype in cases.DTYPES for name in cases.ROW_NAMES[dtype]]
)
def test_named_rows(options, dtype, name):
    check(cases.rows(dtype)[name], **options)


@given(data=st.data())
def test_fuzz(data):
    for dtype in cases.DTYPES:
        check(data.draw(strategies.rows(dtype), label=dtype), **data.draw(st.sampled_from(OPTIONS)))


def test_accuracy(dtype):
    """Against exact values: rows of every scale, and normalised ones, whose last prefixes cancel to almost 0."""
    random = np.random.default_rng(11)
    for scale in (1e-3, 1, 30):
        x = random.normal(0, scale, 60)
        for row in (x, x - np.log(np.exp(x).sum()), np.sort(x - np.log(np.exp(x).sum()))):
            row = row.astype(dtype)
            got = stablesoft.logcumsumexp(row)
            exact = [exact_logsumexp(row[: k + 1].tolist()) for k in range(row.size)]
            assert max(ulp_error(g, e, dtype) for g, e in zip(got, exact, strict=True)) <= 1


@pytest.mark.parametrize(
    "tail", [[-50.0] * 3000, [-1e5] * 3000, -np.arange(40.0, 400.0, 0.1)], ids=["some", "nothing", "less and less"]
)
def test_many_prefixes_near_zero(dtype, tail):
    """Once a prefix is near 0 all later ones may be: each of them is as right, and none costs a sum of its own."""
    heads = [[-math.log(2)] * 2, [-1e-20, -46.0517], [-1e-9] + [-30.0] * 3]
    heads += [[float.fromhex(v) for v in pair] for _, *pair in cases.NEAR_ONE_PAIRS]
    for head in heads:
        check(np.array([*head, *tail], dtype))


def test_long_rows(dtype):
    random = np.random.default_rng(12)
    n = 50_000
    x = random.normal(size=n)
    normalised = x - np.log(np.exp(x).sum())
    rows = [x, normalised, np.sort(normalised), np.full(n, -math.log(n)), np.sort(x) * 100, x * 100 + 1e15, x * 1e300]
    rows += [np.concatenate([-1e300 * np.arange(1, 9), np.sort(x), x + 2.0**45, np.sort(x) + 1e200])]
    for row in rows:
        with np.errstate(over="ignore"):
            check(np.maximum(row, -np.finfo(dtype).max).astype(dtype))


# ---- special values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 9, 128, 129, 500])
def test_special_values(dtype, n):
    x = np.linspace(-3, 3, n).astype(dtype)
    for place in {0, n // 2, n - 1}:
        for value in (NAN, INF):
            row = x.copy()
            row[place] = value
            got = stablesoft.logcumsumexp(row)
            np.testing.assert_array_equal(got[:place], stablesoft.logcumsumexp(x)[:place])
            np.testing.assert_array_equal(got[place:], np.full(n - place, value))
            got = stablesoft.logcumsumexp(row, reverse=True)
            np.testing.assert_array_equal(got[: place + 1], np.full(place + 1, value))
        row = x.copy()
        row[: place + 1] = -INF
        got = stablesoft.logcumsumexp(row)
        np.testing.assert_array_equal(got[: place + 1], np.full(place + 1, -INF))
        np.testing.assert_array_equal(got[place + 1 :], stablesoft.logcumsumexp(x[place + 1 :]))
    both = np.array([0, -INF, INF, 1, NAN, INF], dtype)
    np.testing.assert_array_equal(stablesoft.logcumsumexp(both), np.array([0, 0, INF, INF, NAN, NAN]))


@WITH_OPTIONS
def test_empty_and_single(dtype, options):
    for shape, axis in (((0,), None), ((0,), 0), ((0, 3), 0), ((3, 0), 0), ((0, 3), None)):
        got = stablesoft.logcumsumexp(np.zeros(shape, dtype), axis=axis, **options)
        assert got.dtype == dtype and got.shape == ((0,) if axis is None else shape)
    got = stablesoft.logcumsumexp(np.array([2.5], dtype), **options)
    np.testing.assert_array_equal(got, [-INF if options.get("exclusive") else 2.5])


def test_zero_dimensions(dtype):
    x = np.array(2.5, dtype)
    got = stablesoft.logcumsumexp(x)
    assert got.shape == (1,) and got.dtype == dtype and got[0] == 2.5
    got = stablesoft.logcumsumexp(x, axis=0)
    assert type(got) is np.dtype(dtype).type and got == 2.5


# ---- axes, memory ----------------------------------------------------------------------------------------------


@WITH_OPTIONS
@pytest.mark.parametrize("n", [1, 5, 16, 33, 150])
def test_layouts(dtype, n, options):
    x = hard_matrix(dtype, 7, n)
    result = np.stack([stablesoft.logcumsumexp(row.copy(), **options) for row in x])
    for name, array, axis in [("C", x, 1), ("negative axis", x, -1), *layouts(x)]:
        before = array.tobytes()
        got = stablesoft.logcumsumexp(array, axis=axis, **options)
        assert got.shape == array.shape
        assert_same_bits(np.moveaxis(got, axis, 1), result, name)
        assert array.tobytes() == before, f"{name}: the input changed"


@WITH_OPTIONS
def test_axes(dtype, options):
    x = hard_matrix(dtype, 30, 7).reshape(5, 6, 7)
    flat = stablesoft.logcumsumexp(x.reshape(-1), **options)
    for array in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        assert_same_bits(stablesoft.logcumsumexp(array, **options), flat, "flattened")
    for axis in range(3):
        moved = np.ascontiguousarray(np.moveaxis(x, axis, 2))
        rows = stablesoft.logcumsumexp(moved, axis=2, **options)
        assert_same_bits(np.moveaxis(stablesoft.logcumsumexp(x, axis=axis - 3, **options), axis, 2), rows, axis)


@WITH_OPTIONS
def test_out(dtype, options):
    for n in (1, 10, 300, 5000):
        x = hard_matrix(dtype, 3, n)
        for axis in (None, 0, 1):
            result = stablesoft.logcumsumexp(x, axis=axis, **options)
            wide = np.full((*result.shape[:-1], 2 * result.shape[-1]), 77, dtype)
            for out in (np.full_like(result, 77), wide[..., ::2], wide[..., ::-2]):
                assert stablesoft.logcumsumexp(x, axis=axis, out=out, **options) is out
                assert_same_bits(out, result, (n, axis))
            if axis is not None:
                same = x.copy()
                assert stablesoft.logcumsumexp(same, axis=axis, out=same, **options) is same
                assert_same_bits(same, result, (n, axis, "in place"))
        memory = np.zeros(n + 8, dtype)
        memory[:n] = x[0]
        stablesoft.logcumsumexp(memory[:n], out=memory[8:], **options)
        assert_same_bits(memory[8:], stablesoft.logcumsumexp(x[0], **options), (n, "overlapping"))


# ---- other arrays ----------------------------------------------------------------------------------------------


def test_other_input(dtype):
    x = [0.5, -1.25, 3.0]
    plain = stablesoft.logcumsumexp(np.array(x))
    np.testing.assert_array_equal(stablesoft.logcumsumexp(x), plain)
    got = stablesoft.logcumsumexp(np.array([127, -128, 5], "int8"))
    assert_same_bits(got, stablesoft.logcumsumexp(np.array([127.0, -128.0, 5.0])), "int8")
    half = stablesoft.logcumsumexp(np.array(x, "float16"))
    assert_same_bits(half, stablesoft.logcumsumexp(np.array(x, "float32")).astype("float16"), "float16")
    long = stablesoft.logcumsumexp(np.array(x, "longdouble"), reverse=True)
    assert long.dtype == "longdouble"
    backwards = stablesoft.logcumsumexp(x[::-1])[::-1]
    assert np.max(np.abs(long - backwards)) <= np.spacing(4.0)
    swapped = np.array(x, dtype).astype(np.dtype(dtype).newbyteorder())
    assert_same_bits(stablesoft.logcumsumexp(swapped), stablesoft.logcumsumexp(np.array(x, dtype)), "swapped")
    flags = stablesoft.logcumsumexp(np.array(x), reverse=np.True_, exclusive=np.False_)
    np.testing.assert_array_equal(flags, stablesoft.logcumsumexp(np.array(x), reverse=True))


def test_masked_array(dtype):
    mask = np.array([[True, False, False], [False, True, False]])
    x = np.ma.masked_array(np.array([[NAN, 2, 3], [4, INF, 6]], dtype), mask)
    got = stablesoft.logcumsumexp(x, axis=1)
    assert isinstance(got, np.ma.MaskedArray) and got.dtype == dtype
    np.testing.assert_array_equal(np.ma.getmaskarray(got), mask)
    assert_same_bits(got.data, stablesoft.logcumsumexp(np.where(mask, -INF, x.data).astype(dtype), axis=1), "masked")
    assert stablesoft.logcumsumexp(x).mask.tolist() == mask.ravel().tolist()


def close(got, exact_ones, dtype):
    """log2(n) steps of logaddexp, each within a few ulp of the largest number that it sees."""
    eps = float(np.finfo(dtype).eps)
    finite = np.isfinite(exact_ones)
    np.testing.assert_array_equal(got[~finite], exact_ones[~finite])
    return np.all(np.abs(got[finite] - exact_ones[finite]) <= 32 * eps * (1 + np.abs(exact_ones[finite])))


@WITH_OPTIONS
def test_definition(dtype, options):
    """The definition on a library that has the standard and nothing else, against the kernel."""
    special = np.array([[-INF, 0, NAN, 1], [-INF, -INF, 5, INF], [-1e30, 1e30, 0, -1e30], [0, 0, 0, 0]], dtype)
    for x in (np.random.default_rng(5).normal(0, 5, (4, 37)).astype(dtype), special, special[:, :1], special[:, :0]):
        for axis in (None, 0, 1, -1):
            strict = stablesoft.logcumsumexp(array_api_strict.asarray(x), axis=axis, **options)
            assert isinstance(strict, type(array_api_strict.asarray(x)))
            result = stablesoft.logcumsumexp(x, axis=axis, **options)
            assert np.asarray(strict).dtype == dtype and strict.shape == result.shape
            assert close(np.asarray(strict), result, dtype), axis


@pytest.mark.parametrize(
    ("argument", "error", "given_"),
    [
        ("axis", ValueError, {"axis": 2}),
        ("axis", TypeError, {"axis": (0, 1)}),
        ("axis", TypeError, {"axis": 1.5}),
        ("reverse", TypeError, {"reverse": 1}),
        ("exclusive", TypeError, {"exclusive": None}),
        ("out", ValueError, {"out": np.zeros(5)}),
        ("out", ValueError, {"axis": 0, "out": np.zeros(6)}),
        ("out", TypeError, {"axis": 0, "out": np.zeros((2, 3), "float32")}),
        ("out", TypeError, {"out": [0.0] * 6}),
    ],
)
def test_errors(argument, error, given_):
    with pytest.raises(error, match=argument):
        stablesoft.logcumsumexp(np.ones((2, 3)), **given_)


@pytest.mark.parametrize("a", ["text", None, np.array([None]), np.ones(3, complex), np.array(["2020"], "M8[Y]")])
def test_unusable_input(a):
    with pytest.raises(TypeError, match=r"\ba\b"):
        stablesoft.logcumsumexp(a)


def test_no_warning():
    with np.errstate(all="raise"):
        for row in cases.rows("float64").values():
            stablesoft.logcumsumexp(row.astype("longdouble"))
    assert Decimal(float(stablesoft.logcumsumexp(np.array([-0.0]))[0])) == 0
