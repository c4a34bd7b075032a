"""Caffe's sigmoid layer by the CUDA kernels, run on the CPU by tests/cuda/emulate.h: NumPy's bits."""

import numpy as np
import pytest
from test_cuda_losses import KINDS, run_loss
from test_reproducibility import assert_same_bits

from emulation import EMULATED, aligned, values
from stablesoft import _cuda_losses, caffe

pytestmark = EMULATED
DIVISORS = {"full": float, "valid": None, "none": lambda _: 1.0}


def sigmoid(library, x, t, ignored, normalization, *, grad=True, loss_weight=1.0):
    """Loss and gradient, as _cupy_losses.py launches them; `ignored` is a small integer."""
    y, value = aligned(x.shape, x.dtype) if grad else None, aligned((), x.dtype)
    steps = [None if one is None else one.strides for one in (x, t, None, None, y, None)]
    starts_right = all(one is None or one.ctypes.data % 16 == 0 for one in (x, t, y))
    single = np.float32 if x.itemsize < 8 else np.float64
    least, most = caffe._truncated_to(ignored, single)
    divisor = DIVISORS[normalization]
    plan = _cuda_losses.plan_sigmoid(
        x.dtype.name, x.shape, steps, starts_right, summed=True, counted=divisor is None, least=least, most=most,
        factor=loss_weight, divisor=divisor(x.size) if divisor else float(x.size),
    )  # fmt: skip
    run_loss(library, plan, x, y, t, None, None, value)
    return value, y


def check(library, x, t, ignored, normalization, **options):
    want, slope = caffe.sigmoid_cross_entropy_loss(
        x, t, ignore_label=ignored, normalization=normalization, return_grad=True, **options
    )
    loss, gradient = sigmoid(library, x, t, ignored, normalization, **options)
    alone, _ = sigmoid(library, x, t, ignored, normalization, grad=False, **options)
    for one in (loss, alone):
        assert_same_bits(one, np.asarray(want), (x.shape, ignored, normalization))
    assert_same_bits(gradient, slope, (x.shape, ignored, normalization))


@KINDS
@pytest.mark.parametrize("normalization", DIVISORS)
def test_ignored(emulation, kind, normalization):
    """By one block and by several, aligned or not; a NaN that is ignored does not count."""
    random = np.random.default_rng(5)
    for x in (values(kind, 20_000), values(kind, 1001)[1:], values(kind, 3000).reshape(30, 100)[::-2, 3:50]):
        t = aligned(x.shape, kind)
        t[...] = random.choice([0.0, 1.0, 0.25, 0.999, -1.0, -0.5, 255.0, np.nan], x.shape)
        t[np.isnan(x)] = 1.5
        finite = np.where(np.isfinite(x), x, 1).astype(kind)
        for ignored in (0, 1, -1, 255, 7):
            check(emulation, x, t, ignored, normalization, loss_weight=0.3)
            check(emulation, finite, np.nan_to_num(t), ignored, normalization)


@KINDS
@pytest.mark.parametrize("normalization", DIVISORS)
def test_nothing_counts(emulation, kind, normalization):
    x, t = values(kind, 5000), aligned((5000,), kind)
    t[:] = 1.25
    check(emulation, x, t, 1, normalization)


@pytest.mark.parametrize("normalization", DIVISORS)
def test_doubtful_sums(emulation, normalization):
    """Sums that the block which finishes adds exactly leave the same elements out."""
    x, t = aligned((3000,), "float64"), aligned((3000,), "float64")
    x[:] = 1e308
    t[::2] = 255.0
    for small in (1e-308, 1.0, 1.7e308):
        x[7::100] = small
        check(emulation, x, t, 255, normalization)
