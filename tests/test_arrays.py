"""What may be passed in, what comes back, and what is refused with which words."""

import array_api_strict
import numpy as np
import pytest
import scipy.sparse
import scipy.special

import stablesoft
from cases import PLAIN
from exact import worst

IDS = [case.id for case in PLAIN]
NAMES = [case.name for case in PLAIN]
ALL = pytest.mark.parametrize("case", PLAIN, ids=IDS)
ROW = [0.5, -1.25, 3.0, 0.5, 2.0]


def same(got, expected):
    assert type(got) is type(expected)
    assert np.asarray(got).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(got, expected)


@ALL
def test_lists_and_tuples(case):
    expected = case(stablesoft, np.array(ROW))
    same(case(stablesoft, ROW), expected)
    same(case(stablesoft, tuple(ROW)), expected)
    same(case(stablesoft, [1, 2, 3]), case(stablesoft, np.array([1.0, 2.0, 3.0])))
    same(case(stablesoft, [ROW, ROW], axis=1), case(stablesoft, np.array([ROW, ROW]), axis=1))
    same(case(stablesoft, [np.float32(1), np.float32(2)]), case(stablesoft, np.array([1, 2], "float32")))


@ALL
def test_scalars(case):
    """A 0-d result is a NumPy scalar, from whatever kind of 0-d input."""
    value = {"softmax": 1.0, "log_softmax": 0.0}.get(case.name, 3.0)
    for x in (3.0, 3, np.float64(3), np.array(3.0), np.int8(3)):
        got = case(stablesoft, x)
        assert type(got) is np.float64 and got == value, type(x)
    got = case(stablesoft, np.float32(3))
    assert type(got) is np.float32 and got == value


@ALL
@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint64", "bool"])
def test_integers_become_float64_first(case, kind):
    """In int8, 127 - (-128) wraps; as float64 it does not."""
    info = None if kind == "bool" else np.iinfo(kind)
    x = np.array([True, False, True]) if info is None else np.array([info.max, info.min, 0, 1], dtype=kind)
    same(case(stablesoft, x), case(stablesoft, x.astype("float64")))
    matrix = np.stack([x, x[::-1]])
    same(case(stablesoft, matrix, axis=0), case(stablesoft, matrix.astype("float64"), axis=0))


@ALL
def test_float16(case):
    """float16 computes in float32 and comes back: within one ulp, also where float16 overflows or underflows."""
    random = np.random.default_rng(0)
    for scale in (1e-3, 1, 30):
        x = random.normal(0, scale, 50).astype("float16")
        got = case(stablesoft, x)
        assert got.dtype == "float16"
        error, _ = worst(got, case.values(x), "float16")
        assert error <= 1
    same(case(stablesoft, np.array([6e4, 6e4], "float16")).dtype, np.dtype("float16"))


@pytest.mark.skipif(np.finfo("longdouble").nmant < 60, reason="longdouble is float64 here")
@ALL
def test_longdouble(case):
    """Computed in longdouble: better than float64 could be."""
    x = np.array(ROW, "longdouble")
    got = case(stablesoft, x)
    assert got.dtype == "longdouble"
    exact = case.values(ROW)
    for g, e in zip(np.atleast_1d(got), exact):
        high = float(g)
        low = float(g - np.longdouble(high))
        difference = abs(float(e - type(e)(high) - type(e)(low)))
        assert difference <= 8 * float(np.finfo("longdouble").eps) * max(1, abs(high))


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_complex(name):
    z = np.array([0.5 + 1j, -2 + 0.25j, 1 - 3j, 0.5])
    for kind, bound in (("complex128", 2e-15), ("complex64", 1e-6)):
        got = getattr(stablesoft, name)(z.astype(kind))
        assert got.dtype == kind
        expected = getattr(scipy.special, name)(z)
        assert np.max(np.abs(got - expected)) <= bound


@ALL
def test_byte_swapped(case, dtype):
    x = np.array(ROW, dtype)
    got = case(stablesoft, x.astype(x.dtype.newbyteorder()))
    same(got, case(stablesoft, x))


@ALL
def test_read_only_input_and_no_write(case, dtype):
    x = np.array(ROW, dtype)
    x.flags.writeable = False
    case(stablesoft, x)
    assert x.tolist() == np.array(ROW, dtype).tolist()
    out = np.zeros(() if case.reduces else x.shape, dtype)
    out.flags.writeable = False
    with pytest.raises((ValueError, TypeError), match="out"):
        case(stablesoft, x, out=out)
    assert not out.any()


@pytest.mark.parametrize("name", ["logsumexp", "logmeanexp"])
def test_keepdims(name, dtype):
    function = getattr(stablesoft, name)
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(dtype)
    for axis in (None, 0, 1, -1, (0, 2), (-1, 1), ()):
        shape = x.sum(axis=axis, keepdims=True).shape
        kept = function(x, axis=axis, keepdims=True)
        assert kept.shape == shape
        plain = function(x, axis=axis)
        assert np.shape(plain) == x.sum(axis=axis).shape
        np.testing.assert_array_equal(kept.reshape(np.shape(plain)), plain)
        assert np.asarray(plain).dtype == dtype


def test_scipy_argument_order(dtype):
    a = np.random.default_rng(2).normal(size=(3, 4)).astype(dtype)
    b = np.abs(a) + 1
    value, sign = stablesoft.logsumexp(a, 1, b, True, True)
    named = stablesoft.logsumexp(a=a, axis=1, b=b, keepdims=True, return_sign=True)
    assert value.shape == sign.shape == (3, 1)
    np.testing.assert_array_equal(value, named[0])
    np.testing.assert_array_equal(sign, named[1])
    np.testing.assert_array_equal(stablesoft.softmax(x=a, axis=1), stablesoft.softmax(a, 1))
    np.testing.assert_array_equal(stablesoft.log_softmax(x=a, axis=1), stablesoft.log_softmax(a, 1))


def test_weights_broadcast_and_promote():
    a = np.zeros((2, 3), "float32")
    assert stablesoft.logsumexp(a, axis=1, b=2.0).dtype == "float32"  # Python scalars are weak
    assert stablesoft.logsumexp(a, axis=1, b=np.ones(3)).dtype == "float64"
    got = stablesoft.logsumexp(a, axis=1, b=np.array([[1.0], [2.0]]))
    assert np.max(np.abs(got - np.log([3.0, 6.0]))) <= 4 * np.spacing(2.0)
    assert stablesoft.logsumexp([0, 0], b=[1, 3]).dtype == "float64"


def test_python_scalar_options_are_weak():
    x = np.array(ROW, "float32")
    assert stablesoft.softmax(x, temperature=2.0).dtype == "float32"
    assert stablesoft.softmax(x, floor=0.5).dtype == "float32"
    assert stablesoft.log_softmax(x, temperature=2).dtype == "float32"
    same(stablesoft.softmax(x, floor=None, temperature=1), stablesoft.softmax(x))


# ---- other containers ------------------------------------------------------------------------------------------


def test_masked_arrays(dtype):
    data = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    mask = np.array([[False, True, False], [True, True, True]])
    x = np.ma.masked_array(data, mask)
    for name in ("softmax", "log_softmax"):
        got = getattr(stablesoft, name)(x, axis=1)
        assert isinstance(got, np.ma.MaskedArray) and got.dtype == dtype
        np.testing.assert_array_equal(np.ma.getmaskarray(got), mask)
        expected = getattr(stablesoft, name)(data, axis=1, where=~mask)
        np.testing.assert_array_equal(got.data[~mask], expected[~mask])
    for name in ("logsumexp", "logmeanexp"):
        got = getattr(stablesoft, name)(x, axis=1)
        assert isinstance(got, np.ma.MaskedArray) and got.dtype == dtype
        assert got[0] == getattr(stablesoft, name)(data[0], where=~mask[0])
        assert np.ma.getmaskarray(got).tolist() == [False, True]  # nothing took part in the second row


@ALL
def test_subclass_and_memoryview(case):
    """Anything NumPy can read without copying to object works; a matrix keeps its values."""
    x = np.array(ROW)
    np.testing.assert_array_equal(case(stablesoft, memoryview(x)), case(stablesoft, x))


@ALL
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_array_api_strict(case, kind):
    """The definition, on a library that has the standard and nothing else; as good as its exp and log."""
    random = np.random.default_rng(5)
    x = random.normal(0, 5, (4, 6)).astype(kind)
    strict = array_api_strict.asarray(x)
    for axis in (None, 0, 1, -1, (0, 1)):
        got = case(stablesoft, strict, axis=axis)
        assert isinstance(got, array_api_strict._array_object.Array)
        expected = case(stablesoft, x, axis=axis)
        got = np.asarray(got)
        assert got.dtype == kind and got.shape == np.shape(expected)
        eps = float(np.finfo(kind).eps)
        # exp, sum of 24, log: eps each, against the kernels' 1 ulp.
        assert np.all(np.abs(got - expected) <= 32 * eps * np.maximum(np.abs(expected), 1e-30)), axis
    hard = array_api_strict.asarray(np.array([-np.inf, 0.0, -np.inf], kind))
    np.testing.assert_array_equal(
        np.asarray(case(stablesoft, hard)), case(stablesoft, np.array([-np.inf, 0.0, -np.inf], kind))
    )


@ALL
def test_array_api_strict_special_values(case):
    for values in ([np.nan, 1.0], [np.inf, 1.0, np.inf], [-np.inf] * 2, [1.7e308, -1.7e308], [-1e4], [800.0, 0.0]):
        x = np.array(values)
        got = np.asarray(case(stablesoft, array_api_strict.asarray(x)))
        expected = np.asarray(case(stablesoft, x))
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(got[~finite], expected[~finite])
        eps = np.finfo("float64").eps
        assert np.all(np.abs(got[finite] - expected[finite]) <= 4 * eps * np.abs(expected[finite])), values


# ---- refusals --------------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize(
    "x",
    [
        "text",
        ["a", "b"],
        np.array([b"a"]),
        np.array([1.0, None], object),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([(1.0,)], dtype=[("field", "f8")]),
        None,
        {"a": 1},
        scipy.sparse.csr_array(np.eye(3)),
    ],
    ids=["str", "strings", "bytes", "object", "datetime", "structured", "None", "dict", "sparse"],
)
def test_unusable_input(case, x):
    with pytest.raises(TypeError, match=r"\b[ax]\b"):
        case(stablesoft, x)


@ALL
def test_ragged(case):
    with pytest.raises((ValueError, TypeError)):
        case(stablesoft, [[1.0, 2.0], [3.0]])


@ALL
@pytest.mark.parametrize("axis", [2, -3, (0, 2), (0, 0), (0, -2), 1.5, "1", [0, "x"]])
def test_bad_axis(case, axis):
    with pytest.raises((ValueError, TypeError), match="axis"):
        case(stablesoft, np.ones((2, 3)), axis=axis)


@ALL
@pytest.mark.parametrize("x", [3.0, np.float64(3)])
def test_bad_axis_of_scalar(case, x):
    with pytest.raises(ValueError, match="axis"):
        case(stablesoft, x, axis=1)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf, -np.inf, 0])
def test_bad_temperature(name, temperature):
    for x in (np.ones(3), np.ones(3, "float16"), [1, 2]):
        with pytest.raises(ValueError, match="temperature"):
            getattr(stablesoft, name)(x, temperature=temperature)


@pytest.mark.parametrize("temperature", ["1", None, [1.0, 2.0], 1j])
def test_temperature_of_a_wrong_type(temperature):
    with pytest.raises((TypeError, ValueError), match="temperature"):
        stablesoft.softmax(np.ones(3), temperature=temperature)


@pytest.mark.parametrize("floor", [0.0, -0.1, 1.0000001, np.nan, np.inf])
def test_bad_floor(floor):
    with pytest.raises(ValueError, match="floor"):
        stablesoft.softmax(np.ones(3), floor=floor)


def test_floor_of_a_wrong_type():
    with pytest.raises((TypeError, ValueError), match="floor"):
        stablesoft.softmax(np.ones(3), floor="1e-3")


def test_bad_weights():
    for b in (np.ones(4), "text", np.array([None] * 3)):
        with pytest.raises((TypeError, ValueError), match=r"\bb\b"):
            stablesoft.logsumexp(np.ones(3), b=b)


@ALL
@pytest.mark.parametrize("where", [np.ones(4, bool), np.array([1, 0, 1]), np.ones(3), "yes"])
def test_bad_where(case, where):
    with pytest.raises((TypeError, ValueError), match="where"):
        case(stablesoft, np.ones(3), where=where)


@ALL
def test_bad_out(case, dtype):
    x = np.ones((2, 3), dtype)
    shape = (2,) if case.reduces else (2, 3)
    other = "float64" if dtype == "float32" else "float32"
    for out in (np.full((5, 5), 7, dtype), np.full(shape, 7, other), np.full(shape, 7), [0.0] * 2, "out"):
        with pytest.raises((TypeError, ValueError), match="out"):
            case(stablesoft, x, axis=1, out=out)
        if isinstance(out, np.ndarray):
            assert (out == 7).all()


def test_show_config(capsys):
    found = stablesoft.show_config("dicts")
    assert set(found) == {"version", "isa", "isa_available", "threads", "libraries", "gpu"}
    assert found["isa"] in found["isa_available"]
    assert found["version"] == stablesoft.__version__
    assert found["threads"] >= 1
    stablesoft.show_config()
    printed = capsys.readouterr().out
    assert found["version"] in printed and found["isa"] in printed
