"""Pairs of floats in the place of doubles: the errors that the kernels count on."""

import ctypes

import numpy as np
import pytest

from emulation import EMULATED, compiled

pytestmark = EMULATED


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    library = compiled(tmp_path_factory.mktemp("pairs"), [], unit="float_pair.cpp")
    library.worst_term.argtypes = ctypes.c_float, ctypes.c_int, ctypes.c_int
    library.worst_log1p.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
    library.doubtful_sums.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_double
    library.worst_sum.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_int
    library.rounded.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_float, ctypes.c_float, ctypes.c_void_p,
                                ctypes.c_void_p)  # fmt: skip
    for function in (library.worst_term, library.worst_sum, library.worst_log1p):
        function.restype = ctypes.c_double
    return library


def test_terms(pairs):
    """float_terms counts on 6 / 2^48 for the whole range that it reaches."""
    assert pairs.worst_term(33000.0, 211, False) < 2.0**-45.6 < 6 * 2.0**-48
    assert pairs.worst_term(33000.0, 211, True) < 2.0**-45.4


@pytest.mark.slow
@pytest.mark.parametrize(("whole", "bound"), [(False, 2.0**-45.6), (True, 2.0**-45.4)])
def test_every_term(pairs, whole, bound):
    assert pairs.worst_term(33000.0, 1, whole) < bound


def test_log1p(pairs):
    """The two logarithms together differ by less than 2^-40.8; mostly much less, since they are one polynomial."""
    random = np.random.default_rng(4)
    one = np.exp2(random.uniform(-0.03, 1.03, 1_000_000))
    rest = np.exp2(random.uniform(-95, 30, one.size))
    near = one * (np.exp2(random.integers(0, 20, one.size)) * (1 + random.uniform(-1e-3, 1e-3, one.size)) - 1)
    switch = one * (np.exp2(random.integers(1, 20, one.size)) * (2 / 3 + random.uniform(-0.1, 0.1, one.size)) - 1)
    apart = ctypes.c_double()
    for each in (rest, np.exp2(random.uniform(-8, 4, one.size)), np.abs(near) + 1e-20, switch):
        assert pairs.worst_log1p(each.ctypes.data, one.ctypes.data, one.size, ctypes.byref(apart)) < 2.0**-41.7
        assert apart.value < 2.0**-41.5


def test_canonical_sums(pairs):
    random = np.random.default_rng(3)
    error = 2.0**-42
    powers = np.exp2(random.integers(0, 25, 100_000))
    beside = 1 + random.choice([-1, 1], powers.size) * np.exp2(random.uniform(-50, -20, powers.size))
    for sums in (random.uniform(0.9, 4, 1_000_000), powers * beside):
        doubtful = pairs.doubtful_sums(sums.ctypes.data, sums.size, error)
        assert 0 <= doubtful < sums.size * 2.0**-9
    middle = (np.round(random.uniform(1, 2, 1000) * 2**30) + 0.5) * 2.0**-30
    for distance, wanted in ((0.0, 1000), (error / 2, 1000), (-error / 2, 1000), (4 * error, 0)):
        near = middle * (1 + distance)
        assert pairs.doubtful_sums(near.ctypes.data, near.size, error) == wanted


def test_sums(pairs):
    random = np.random.default_rng(5)
    errors = []
    for spread in (0.0, 1.0, 20.0, 60.0):
        for threads in (1, 2, 21):
            for _ in range(200):
                terms = 2.0**64 * np.exp2(-random.uniform(0, spread, 16 * threads)) * random.uniform(1, 2, 16 * threads)
                errors.append(pairs.worst_sum(terms.ctypes.data, threads, threads))
    assert 0.0 < max(errors) < 1.0


def rounded(pairs, y, half=0.0):
    """With an error of 2^-44."""
    value, certain = np.empty(y.size, np.float32), np.empty(y.size, np.int32)
    pairs.rounded(y.ctypes.data, y.size, half, 2.0**-44, value.ctypes.data, certain.ctypes.data)
    return value, certain != 0


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_results(pairs, sign):
    """What is certain is right for all within the error; hardly anything is not, but next to the middle of floats."""
    random = np.random.default_rng(6)
    y = sign * np.exp2(random.uniform(-79, 60, 1_000_000))
    value, certain = rounded(pairs, y)
    assert np.array_equal(value[certain], y[certain].astype(np.float32))
    assert np.mean(certain) > 1 - 2.0**-17
    floats = np.abs(y).astype(np.float32).astype(np.float64)
    middle = (floats + np.nextafter(floats.astype(np.float32), np.float32(np.inf))) / 2
    for distance, wanted in ((0.0, False), (2.0**-45, False), (-(2.0**-45), False), (2.0**-42, True)):
        near = sign * middle * (1.0 + distance)
        value, certain = rounded(pairs, near)
        assert np.all(certain == wanted)
        if wanted:
            assert np.array_equal(value, near.astype(np.float32))
    assert not rounded(pairs, sign * np.exp2(random.uniform(-120, -81, 1000)))[1].any()


def test_subnormal_results(pairs):
    """To multiples of 2^-85, as softmax has them before it scales by 2^-64."""
    random = np.random.default_rng(7)
    y = np.exp2(random.uniform(-100, -62.01, 1_000_000))
    value, certain = rounded(pairs, y, 2.0**-86)
    assert np.array_equal(value[certain] * np.float32(2.0**-64), (y[certain] * 2.0**-64).astype(np.float32))
    assert np.mean(certain) > 1 - 2.0**-17
    middle = (random.integers(0, 2**22, 1000) + 0.5) * 2.0**-85
    assert not rounded(pairs, middle, 2.0**-86)[1].any()
