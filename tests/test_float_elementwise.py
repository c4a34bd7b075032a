"""The elementwise CUDA kernels for devices on which doubles are slow: NumPy's bits, in pairs of floats."""

import ctypes
import functools

import numpy as np
import pytest
from test_cuda_emulation import run_elementwise
from test_reproducibility import assert_same_bits

import stablesoft
from emulation import EMULATED, aligned, compiled, values
from stablesoft import _cuda_kernels

pytestmark = EMULATED
KINDS = pytest.mark.parametrize("kind", _cuda_kernels.IN_FLOATS)
RARE = 1e-4  # of the elements doubles may decide
run = functools.partial(run_elementwise, slow_doubles=True)


class Findings(ctypes.Structure):
    """As in tests/cuda/float_elementwise.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ("count", "doubtful", "wrong")] + [("error", ctypes.c_double)]

    def check(self, rare=RARE):
        assert self.wrong == 0
        assert self.error < 1
        assert self.doubtful <= rare * self.count


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """What is computed in floats beside what doubles give."""
    return compiled(tmp_path_factory.mktemp("beside"), [], "-O2", unit="float_elementwise.cpp")


def compared(beside, name, first, last, step):
    found = Findings()
    bits = (ctypes.c_int64(int(np.float32(one).view(np.uint32))) for one in (first, last))
    getattr(beside, f"compare_{name}")(ctypes.byref(found), *bits, ctypes.c_int64(step))
    return found


# From the least floats to the largest, 0 and infinities among them; NaNs are the last.
HALVES = pytest.mark.parametrize(("first", "last"), [(0.0, np.inf), (-0.0, -np.inf)])
# Where results are neither the argument nor a constant.
RANGES = [(name, sign * 2.0**-26, sign * 106.0) for name in ("expit", "log_expit", "softplus") for sign in (1.0, -1.0)]
RANGES += [("logit", 0.0, 1.0), ("log1mexp", -0.0, -106.0)]


@HALVES
@pytest.mark.parametrize("name", _cuda_kernels.UNARY)
def test_all_scales(beside, name, first, last):
    compared(beside, name, first, last, 30011).check()


@pytest.mark.parametrize(("name", "first", "last"), RANGES)
def test_errors(beside, name, first, last):
    """The claimed errors hold, not by much, and leave little to doubles."""
    found = compared(beside, name, first, last, 1511 if name != "log1mexp" else 6007)
    found.check()
    assert found.error > 0.05


@pytest.mark.parametrize("name", _cuda_kernels.UNARY)
def test_nan(beside, name):
    """And what lies next to it."""
    found = compared(beside, name, np.inf, np.nan, 997)
    found.check(0)
    compared(beside, name, np.float32(3e38), np.inf, 1).check(0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "first", "last"), RANGES)
def test_every_float(beside, name, first, last):
    compared(beside, name, first, last, 1).check()


def pairs(random, count):
    """{what: two arguments and how many of their results may be left to doubles}."""
    wide = random.normal(size=(2, count)) * 10.0 ** random.integers(-44, 39, (2, count))
    near = -np.exp2(random.uniform(-20, 6, count))  # the result is close to 0
    partner = np.log1p(-np.exp(near))
    most = np.exp2(random.uniform(-60, 8, count))
    equal = random.normal(0, 30, count)
    return {
        "ordinary": (*random.normal(0, 3, (2, count)), RARE),
        "far": (*random.normal(0, 100, (2, count)), RARE),
        "close": (equal, equal - np.exp2(random.uniform(-20, 1, count)), RARE),
        "beside 0": (random.normal(0, 1e-4, count), -random.uniform(1, 110, count), 0.02),
        "tiny": (random.normal(size=count) * np.exp2(random.uniform(-149, -20, count)), -most, 0.05),
        "exactly 0": (np.zeros(count), -most, RARE),
        "cancelling": (near, partner, 1),
        "wide": (*wide, 0.01),
    }


@pytest.mark.parametrize("name", _cuda_kernels.BINARY)
def test_two_arguments(beside, name):
    random = np.random.default_rng(20)
    for what, (a, b, rare) in pairs(random, 200_000).items():
        for sign in (1.0, -1.0) if what in ("tiny", "wide") else (1.0,):
            with np.errstate(over="ignore"):
                a, b = np.asarray(sign * a, np.float32), np.asarray(b, np.float32)
            if name == "logsubexp" and what in ("ordinary", "far", "wide"):
                a, b = np.maximum(a, b), np.minimum(a, b)
            found = Findings()
            beside.compare_two(ctypes.byref(found), *(ctypes.c_void_p(x.ctypes.data) for x in (a, b)), a.size,
                               name == "logsubexp")  # fmt: skip
            found.check(rare)


# ---- through the kernels ----


@pytest.mark.parametrize("name", _cuda_kernels.UNARY)
def test_every_half(emulation, name):
    x = aligned((1 << 16,), "float16")
    x[:] = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    assert_same_bits(run(emulation, name, [x]), getattr(stablesoft, name)(x), name)


@KINDS
@pytest.mark.parametrize("name", _cuda_kernels.UNARY)
def test_unary(emulation, name, kind):
    random = np.random.default_rng(21)
    many = aligned((60_000,), kind)
    many[:] = random.choice([-1, 1], many.size) * np.exp2(random.uniform(-20, 7, many.size))
    for x in (many, values(kind, 4096), values(kind, 1001), values(kind, 3000).reshape(30, 100)[::-2, 3:50]):
        for argument in (x, -np.abs(x), np.abs(x)):
            want = getattr(stablesoft, name)(argument)
            assert_same_bits(run(emulation, name, [argument]), want, x.shape)


@KINDS
@pytest.mark.parametrize("name", _cuda_kernels.BINARY)
def test_binary(emulation, name, kind):
    random = np.random.default_rng(22)
    a, b = values(kind, 2048), values(kind, 2048)[::-1]
    couples = [(a, b), (a[:1500], b[:1500]), (a[:40].reshape(40, 1), b[:30]), (a[:7], a[:1])]
    for x, y, _ in pairs(random, 2000).values():
        with np.errstate(over="ignore"):
            couples += [(x.astype(kind), y.astype(kind)), (y.astype(kind), x.astype(kind))]
    special = np.array([0.0, -0.0, 1.0, -1.0, 1e-7, -60.0, 6e4, -6e4, np.inf, -np.inf, np.nan], kind)
    couples += [(special[:, None], special), (np.nextafter(special, special.dtype.type(9)), special)]
    for couple in couples:
        want = getattr(stablesoft, name)(*couple)
        assert_same_bits(run(emulation, name, couple), want, [x.shape for x in couple])


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """Kernels that leave whatever is rounded to doubles."""
    names = [f"{name}_float32_in_floats" for name in (*_cuda_kernels.UNARY, *_cuda_kernels.BINARY)]
    return compiled(tmp_path_factory.mktemp("doubtful"), names, "-DSS_DOUBT=0x1p40")


@pytest.mark.parametrize("name", [*_cuda_kernels.UNARY, *_cuda_kernels.BINARY])
def test_left_to_doubles(doubtful, name):
    x = values("float32", 2048)
    for argument in (x, -np.abs(x)):
        arrays = [argument, x[::-1]] if name in _cuda_kernels.BINARY else [argument]
        assert_same_bits(run(doubtful, name, arrays), getattr(stablesoft, name)(*arrays), name)
