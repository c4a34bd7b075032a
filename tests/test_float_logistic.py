"""Sigmoid cross-entropy on devices on which doubles are slow: NumPy's bits, in pairs of floats."""

import ctypes
import functools

import numpy as np
import pytest
from test_cuda_losses import check_sigmoid

from emulation import EMULATED, aligned, compiled, values
from stablesoft import _cuda, _cuda_kernels, _cuda_losses

pytestmark = EMULATED
KINDS = pytest.mark.parametrize("kind", _cuda_kernels.IN_FLOATS)
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
RARE = 1e-4  # of the losses or slopes doubles may decide


class Findings(ctypes.Structure):
    """As in tests/cuda/float_logistic.cpp."""

    _fields_ = [("count", ctypes.c_int64), ("doubtful", ctypes.c_int64 * 2), ("wrong", ctypes.c_int64 * 2),
                ("error", ctypes.c_double * 4)]  # fmt: skip


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """What is computed in floats beside what doubles give."""
    return compiled(tmp_path_factory.mktemp("beside"), [], "-O2", unit="float_logistic.cpp")


def compared(beside, x, t, scale):
    x, t, found = np.asarray(x, np.float32), np.asarray(t, np.float32), Findings()
    arrays = (ctypes.c_void_p(one.ctypes.data) for one in (x, t))
    beside.compare_logits(ctypes.byref(found), *arrays, x.size, ctypes.c_double(scale))
    assert list(found.wrong) == [0, 0]
    assert max(found.error) < 1
    assert found.doubtful[0] <= RARE * found.count
    return found


def logits(random, count):
    """{what: logits}."""
    sign = random.choice([-1, 1], count)
    return {
        "ordinary": random.normal(0, 3, count),
        "far": random.normal(0, 60, count),
        "all scales": sign * np.exp2(random.uniform(-30, 16, count)),
        "clamped": sign * random.uniform(95, 130, count),
    }


@pytest.mark.parametrize("scale", [1.0, 1 / 3e6, -0.3 / 77, 2.0**-21, 2.0**-39, 999.0])
def test_errors(beside, scale):
    random = np.random.default_rng(30)
    count = 100_000
    for what, x in logits(random, count).items():
        compared(beside, x, random.integers(0, 2, count), scale)
        found = compared(beside, x, random.uniform(0, 1, count), scale)
        # 1 - t is often the middle of two floats; beside it doubles see a bit more of sigma than pairs do.
        assert found.doubtful[1] <= (RARE if what == "ordinary" else 0.05) * count
        compared(beside, x, np.exp2(random.uniform(-150, 0, count)), scale)
        with np.errstate(over="ignore"):
            compared(beside, x, 1 / (1 + np.exp(-x)), scale)  # of the slope little is left


@pytest.mark.parametrize("scale", [2.0**-41, 2.0**11, 1e-300, 1e300, 0.0])
def test_unusual_scales(beside, scale):
    """The gradient is left to doubles."""
    found = Findings()
    one = (ctypes.c_float * 3)(1.0, -2.0, 50.0)
    beside.compare_logits(ctypes.byref(found), one, (ctypes.c_float * 3)(), 3, ctypes.c_double(scale))
    assert found.doubtful[1] == 3
    assert list(found.wrong) == [0, 0]


def test_labels(beside):
    """0 and 1 leave next to nothing to doubles; nor do they where the loss or the slope is subnormal, or 0."""
    random = np.random.default_rng(31)
    for what, x in logits(random, 500_000).items():
        found = compared(beside, x, random.integers(0, 2, x.size), 1.0)
        assert max(found.doubtful) <= RARE / 2 * x.size
        assert min(found.error) > 0.05 or what == "clamped"
    constant = compared(beside, np.repeat([0.0, -0.0, 1.0, -1.0, 20.0, -100.0, 6e4], 2), [0, 1] * 7, 1.0)
    assert max(constant.doubtful) == 0


# ---- through the kernels ----


@pytest.fixture(autouse=True)
def slow_doubles(monkeypatch):
    planned = functools.partial(_cuda_losses.plan_sigmoid, slow_doubles=True)
    monkeypatch.setattr(_cuda_losses, "plan_sigmoid", planned)


def targets_like(random, x, kind):
    for targets in (random.integers(0, 2, x.shape), random.uniform(0, 1, x.shape), random.normal(0.5, 1, x.shape)):
        t = aligned(x.shape, kind)
        t[...] = targets
        yield t


@KINDS
@REDUCTIONS
def test_loss(emulation, kind, reduction):
    random = np.random.default_rng(32)
    many = aligned((50_000,), kind)
    many[:] = random.normal(0, 5, many.size)
    for x in (many, values(kind, 4096), values(kind, 1001), values(kind, 3000).reshape(30, 100)[::-2, 3:50]):
        finite = aligned(x.shape, kind)
        finite[...] = np.nan_to_num(x, nan=3.0, posinf=50.0, neginf=-70.0)
        for logit in (x, finite):
            for t in targets_like(random, x, kind):
                check_sigmoid(emulation, logit, t, x.shape, reduction=reduction)


@KINDS
@REDUCTIONS
@pytest.mark.parametrize("pieces", [3, 128, 400])
def test_long_sums(emulation, kind, reduction, pieces, monkeypatch):
    """One block that goes on for many pieces."""
    monkeypatch.setattr(_cuda_losses, "MOST_SUMMING", 1)
    random = np.random.default_rng(33)
    x = aligned((pieces * _cuda.MOST_THREADS * (16 // np.dtype(kind).itemsize) - 77,), kind)
    x[:] = random.normal(0, 3, x.size)
    for t in targets_like(random, x, kind):
        check_sigmoid(emulation, x, t, pieces, reduction=reduction)


@REDUCTIONS
def test_little_is_left(emulation, reduction):
    """Sums of losses that are next to nothing, or nothing."""
    for size in (70.0, 90.0, 102.0, 110.0, 200.0, 1e30):
        x = np.full(1000, size, np.float32) * np.linspace(0.98, 1, 1000, dtype=np.float32)
        for logit, t in ((x, np.ones_like(x)), (-x, np.zeros_like(x))):
            check_sigmoid(emulation, logit, t, size, reduction=reduction)


def test_weights_in_doubles():
    """Whatever has weights has the kernels in doubles."""
    step = (4,)
    for weights in ((step, None), (None, step), (step, step)):
        plan = _cuda_losses.plan_sigmoid("float32", (9,), [step, step, *weights, step, step], True, summed=False)
        assert not any(one.kernel.endswith("_in_floats") for one in plan.launches)
    plan = _cuda_losses.plan_sigmoid("float32", (9,), [step, step, None, None, step, None], True, summed=True)
    assert all(one.kernel.endswith("_in_floats") for one in plan.launches)


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """Kernels that leave whatever is rounded to doubles."""
    head = f"{_cuda_kernels.SIGMOID}_float32"
    names = [name for name in _cuda_kernels.kernels() if name.startswith(head) and "in_floats" in name]
    return compiled(tmp_path_factory.mktemp("doubtful"), names, "-DSS_DOUBT=0x1p40")


@REDUCTIONS
def test_left_to_doubles(doubtful, reduction):
    random = np.random.default_rng(34)
    x = np.nan_to_num(values("float32", 3000), nan=3.0, posinf=50.0, neginf=-70.0)
    for t in targets_like(random, x, "float32"):
        check_sigmoid(doubtful, x, t, reduction, reduction=reduction)
