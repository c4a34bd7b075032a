"""The elementwise functions: within 1 ulp of exact values, ufuncs in every respect, the same bits on every machine."""

import copy
import doctest
import hashlib
import itertools
import math
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import exact_elementwise
import numpy as np
import pytest

import stablesoft
from exact import worst
from stablesoft import expit, log_expit, logaddexp, logit, logsubexp, softplus

UNARY = ["expit", "log_expit", "softplus", "logit", "log1mexp"]
BINARY = ["logaddexp", "logsubexp"]
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan]


def any_floats(dtype, count, seed):
    """Random bits of a float: every exponent, infinities and NaN."""
    info = np.finfo(dtype)
    integer = np.int32 if info.bits == 32 else np.int64
    bits = np.random.default_rng(seed).integers(np.iinfo(integer).min, np.iinfo(integer).max, count, dtype=integer)
    return bits.view(dtype)


def arguments(dtype):
    random = np.random.default_rng(3)
    info = np.finfo(dtype)
    tiny, subnormal = float(info.smallest_normal), float(info.smallest_subnormal)
    edge = -math.log(tiny)
    points = [tiny, subnormal, float(info.max), info.eps, 1e-30, 1e-5, math.log(2), math.log(2) / 32, 0.25, 0.5, 0.75]
    points += [1.0, 2.0**45, 300.0, 512 * math.log(2), edge, edge + 17, edge + 36, edge + 37.5, 1000.0]
    values = np.array([v * s for v in points for s in (1, -1)] + SPECIAL, dtype)
    with np.errstate(over="ignore", under="ignore"):
        around = np.concatenate([np.nextafter(values, dtype(0)), np.nextafter(values, dtype(np.inf))])
    drawn = [random.normal(0, scale, 150) for scale in (1e-9, 1e-3, 0.05, 1, 10, 300, 700)]
    drawn += [random.uniform(-edge - 40, -edge + 20, 200), random.uniform(0, 1, 300), 0.5 + random.normal(0, 1e-4, 100)]
    drawn += [0.5 + random.integers(-9, 9, 30) * info.eps, 1 - random.integers(1, 9, 30) * info.eps]
    drawn += [2.0 ** random.uniform(-149, 0, 200), -(2.0 ** random.uniform(-149, 4, 200))]
    return np.concatenate([values, around, *[d.astype(dtype) for d in drawn], any_floats(dtype, 600, 4)])


def pairs(dtype):
    """Pairs of arguments: of all sizes, close together, and such that the result is next to 0."""
    random = np.random.default_rng(5)
    x = arguments(dtype)
    finite = x[np.isfinite(x)]
    found = [random.permutation(x), random.permutation(x)], [random.permutation(finite), random.permutation(finite)]
    a = random.normal(0, 20, 400).astype(dtype)
    close = [a, a - (10.0 ** random.uniform(-14, 2, 400)).astype(dtype)]
    p = random.uniform(0.001, 0.999, 300)
    complementary = [np.log(p).astype(dtype), np.log1p(-p).astype(dtype)]
    tiny_sum = -(10.0 ** random.uniform(-300 if dtype is np.float64 else -37, -1, 300))
    small = [tiny_sum.astype(dtype), np.log(-tiny_sum).astype(dtype)]  # -e + log1p(e^(log e))
    b = random.normal(0, 3, 400).astype(dtype)
    unit_gap = [np.logaddexp(b, dtype(0)), b]  # e^a - e^b = 1
    large = random.uniform(3, 33 if dtype is np.float64 else 14, 100)
    unit_gap_large = [(large + np.log1p(np.exp(-large))).astype(dtype), large.astype(dtype)]
    special = np.array([(u, v) for u in [*SPECIAL, 1.0, -1.0] for v in [*SPECIAL, 1.0, -1.0]], dtype).T
    sets = [*found, close, complementary, small, unit_gap, unit_gap_large, special]
    return [np.concatenate(side) for side in zip(*sets, strict=True)]


@pytest.mark.parametrize("name", UNARY)
def test_unary_error(name, dtype):
    x = arguments(np.dtype(dtype).type)
    exact = [getattr(exact_elementwise, f"exact_{name}")(v) for v in x.tolist()]
    error, at = worst(getattr(stablesoft, name)(x), exact, dtype)
    assert error <= 1, f"{error} ulp at {x[at]!r}"


@pytest.mark.parametrize("name", BINARY)
def test_binary_error(name, dtype):
    a, b = pairs(np.dtype(dtype).type)
    exact = [getattr(exact_elementwise, f"exact_{name}")(*v) for v in zip(a.tolist(), b.tolist(), strict=True)]
    error, at = worst(getattr(stablesoft, name)(a, b), exact, dtype)
    assert error <= 1, f"{error} ulp at {a[at]!r}, {b[at]!r}"


@pytest.mark.parametrize("name", UNARY + BINARY)
def test_is_a_ufunc(name):
    f = getattr(stablesoft, name)
    assert isinstance(f, np.ufunc)
    assert f.nin == (1 if name in UNARY else 2) and f.nout == 1 and f.__name__ == name
    assert pickle.loads(pickle.dumps(f)) is f and copy.deepcopy(f) is f
    assert name in repr(f) and "Accuracy" in f.__doc__
    assert set(f.types) >= {"f->f", "d->d", "q->d"} or set(f.types) >= {"ff->f", "dd->d", "qq->d"}


@pytest.mark.parametrize("name", stablesoft.__all__)
def test_examples(name):
    """Of every public function; doctest's own collection would look into functions and classes only."""
    found = doctest.DocTestParser().get_doctest(getattr(stablesoft, name).__doc__, {}, name, None, 0)
    assert found.examples and doctest.DocTestRunner().run(found).failed == 0


def test_aliases():
    assert stablesoft.sigmoid is expit and stablesoft.log_sigmoid is log_expit


@pytest.mark.parametrize("given", ["bool", "int8", "uint8", "int32", "int64", "uint64"])
def test_integers_become_float64(given):
    x = np.array([0, 1], given)
    assert expit(x).dtype == np.float64
    assert np.array_equal(expit(x), expit(x.astype(float)))
    assert np.array_equal(logaddexp(x, x[::-1]), logaddexp(x.astype(float), x[::-1].astype(float)))


def test_big_unsigned():
    assert softplus(np.uint64(2**64 - 1)) == 2.0**64


def test_float16():
    x = np.arange(0x10000, dtype=np.uint16).view(np.float16)
    y = softplus(x)
    assert y.dtype == np.float16
    expected = softplus(x.astype(np.float32))
    with np.errstate(over="ignore", under="ignore"):
        expected = expected.astype(np.float16)
    assert np.array_equal(y, expected, equal_nan=True)


@pytest.mark.parametrize("name", UNARY + BINARY)
def test_longdouble(name):
    x = -np.abs(np.random.default_rng(6).normal(size=50))
    args = (np.exp(x),) if name == "logit" else (x,) if name in UNARY else (x / 2, x)
    y = getattr(stablesoft, name)(*[a.astype(np.longdouble) for a in args])
    assert y.dtype == np.longdouble
    assert np.allclose(y.astype(float), getattr(stablesoft, name)(*args), rtol=1e-15, atol=0)


def test_keywords(dtype):
    x = np.linspace(-5, 5, 24, dtype=dtype).reshape(4, 6)
    y = expit(x)
    out = np.full_like(x, 7)
    assert expit(x, out=out) is out and np.array_equal(out, y)
    out[...] = 7
    expit(x, out=out, where=x > 0)
    assert np.array_equal(out, np.where(x > 0, y, 7))
    assert expit(x.astype(float), dtype=np.float32).dtype == np.float32
    assert logaddexp.outer(x[0], x[1]).shape == (6, 6)
    assert np.array_equal(logaddexp(x[:, :1], x[:1]), logaddexp(*np.broadcast_arrays(x[:, :1], x[:1])))
    assert type(expit(0.5)) is np.float64 and expit([0.0, 0.0]).tolist() == [0.5, 0.5]
    z = x.copy()
    expit.at(z, (slice(None), 1))
    assert np.array_equal(z[:, 1], y[:, 1]) and np.array_equal(z[:, 2], x[:, 2])


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 31, 511, 512, 513, 1500])
def test_layouts(n, dtype):
    """Lengths around the vector and the buffer, strides of any sign, in place, overlapping: always the same bits."""
    x = np.random.default_rng(n).normal(0, 5, 2 * n + 1).astype(dtype)
    one = np.array([softplus(v) for v in x], dtype)
    two = np.array([logaddexp(u, v) for u, v in itertools.pairwise(x)], dtype)
    for cut in (slice(None, n), slice(1, n + 1), slice(None, None, 2), slice(None, None, -1), slice(None, None, -3)):
        assert np.array_equal(softplus(x[cut]), one[cut])
        assert np.array_equal(logaddexp(x[:-1][cut], x[1:][cut]), two[cut])
        z = x.copy()
        softplus(z[cut], out=z[cut])
        assert np.array_equal(z[cut], one[cut])
    z = x.copy()
    softplus(z[:-1], out=z[1:])
    assert np.array_equal(z[1:], one[:-1])
    z = x.copy()
    assert np.array_equal(logaddexp(z[:-1], z[1:], out=z[1:]), two)


@pytest.mark.parametrize("name", UNARY + BINARY)
def test_in_threads(name, dtype):
    """Loops that are long enough for several threads, and such as may not be cut up: the bits of short ones."""
    function, n = getattr(stablesoft, name), 70_003
    x = np.random.default_rng(n).uniform(-6, 6, (function.nin, n)).astype(dtype)
    expected = np.concatenate([function(*part) for part in np.array_split(x, 200, axis=1)])
    assert np.array_equal(function(*x), expected, equal_nan=True)
    assert np.array_equal(function(*x[:, ::-1]), expected[::-1], equal_nan=True)
    for source, target in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None)), (slice(None), slice(None))):
        z = x.copy()
        function(*z[:, source], out=z[-1, target])
        assert np.array_equal(z[-1, target], expected[source], equal_nan=True)
    if function.nin == 2:
        alike = function.accumulate(np.zeros(n, dtype))
        one_by_one = list(itertools.accumulate(np.zeros(100, dtype), function))
        assert np.array_equal(alike[:100], one_by_one, equal_nan=True)
        assert np.array_equal(function.reduce(np.zeros(n, dtype)), alike[-1], equal_nan=True)


@pytest.mark.parametrize("given", ["int64", "float16", "float32", "float64", "longdouble"])
def test_reduce_and_accumulate(given):
    x = np.arange(1, 12).astype(given)
    running = [x[0]]
    for v in x[1:]:
        running.append(logaddexp(np.asarray(running[-1]).astype(given if given != "int64" else float), v))
    assert logaddexp.reduce(x) == running[-1]
    assert np.array_equal(logaddexp.accumulate(x), running)
    assert np.array_equal(logaddexp.reduce(np.stack([x, x[::-1]]), axis=0), logaddexp(x, x[::-1]))


def test_no_warnings(dtype):
    with np.errstate(all="ignore"):
        x, ab = arguments(np.dtype(dtype).type), pairs(np.dtype(dtype).type)
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        for name in UNARY:
            getattr(stablesoft, name)(x)
        for name in BINARY:
            getattr(stablesoft, name)(*ab)


def test_signs_of_zero():
    assert math.copysign(1, log_expit(1000.0)) == -1
    assert math.copysign(1, softplus(-1000.0)) == 1
    assert math.copysign(1, stablesoft.log1mexp(-1000.0)) == -1


def test_text_and_complex_are_refused():
    for x in ("a", 1j, np.array([1j]), None):
        with pytest.raises(TypeError):
            expit(x)


def digest():
    sha = hashlib.sha256()
    for dtype in (np.float32, np.float64):
        x = arguments(dtype)
        args = {name: (x,) for name in UNARY} | dict.fromkeys(BINARY, pairs(dtype))
        for name, given in args.items():
            y = getattr(stablesoft, name)(*given)
            y[np.isnan(y)] = np.nan
            sha.update(y.tobytes())
    return sha.hexdigest()


def test_isa(isa):
    path = [str(Path(stablesoft.__file__).parents[1]), str(Path(__file__).parent)]
    path = os.pathsep.join([*path, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", "import test_elementwise; print(test_elementwise.digest())"]
    environment = {**os.environ, "PYTHONPATH": path, "STABLESOFT_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == digest(), done.stderr


def test_other_library(dtype):
    """The definitions agree with the ufuncs, special values and all."""
    xp = pytest.importorskip("array_api_strict")
    tolerance = {"rtol": 8 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps, "equal_nan": True}
    with np.errstate(all="ignore"):
        x, (a, b) = arguments(np.dtype(dtype).type), pairs(np.dtype(dtype).type)
        for name in UNARY:
            got = getattr(stablesoft, name)(xp.asarray(x))
            assert type(got) is type(xp.asarray(x)) and str(got.dtype).endswith(dtype)
            assert np.allclose(np.asarray(got), getattr(stablesoft, name)(x), **tolerance), name
        for name in BINARY:
            got, expected = getattr(stablesoft, name)(xp.asarray(a), xp.asarray(b)), getattr(stablesoft, name)(a, b)
            tolerance["atol"] = 40 * np.finfo(dtype).eps  # it cancels
            assert np.allclose(np.asarray(got), expected, **tolerance), name
    with pytest.raises(TypeError, match="where"):
        expit(xp.asarray(x), where=True)


def test_logit_inverts_expit():
    x = np.linspace(-30, 0, 301)
    assert np.allclose(logit(expit(x)), x, rtol=1e-14, atol=1e-15)
    assert np.allclose(logsubexp(logaddexp(x, -1.0), -1.0), x, rtol=1e-2)
