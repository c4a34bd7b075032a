"""Label smoothing and probabilities as labels on a CUDA device: NumPy's bits, bad labels, graphs."""

import numpy as np
import pytest
from test_gpu import KINDS, check_captured, cupy, fetched, pytestmark  # noqa: F401
from test_gpu_losses import REDUCTIONS, check
from test_reproducibility import assert_same_bits

import stablesoft
from emulation import tiled
from loss_cases import probabilities_of


def probabilities(x, seed=0):
    """Spread over many scales; every seventh row has one class alone."""
    t = np.stack([probabilities_of(row, seed + i) for i, row in enumerate(x)])
    t[3::7, 1:] = 0.0
    return t


@KINDS
@REDUCTIONS
def test_lengths(kind, reduction):
    random = np.random.default_rng(3)
    for n in (1, 2, 8, 31, 32, 33, 128, 255, 256, 1000, 1024, 1025, 2048, 4097, 10_001, 50_257):
        for rows in (1, 37):
            x = random.normal(0, random.choice([1.0, 30.0]), (rows, n)).astype(kind)
            check("softmax_cross_entropy", x, random.integers(0, n, rows), reduction=reduction, label_smoothing=0.1)
            check("softmax_cross_entropy", x, probabilities(x), reduction=reduction)


@pytest.mark.parametrize("n", [21, 1000, 3000])
def test_hard_rows(dtype, n):
    x = tiled(dtype, 300, n)
    random = np.random.default_rng(n)
    labels, t, weight = random.integers(0, n, 300), probabilities(x), random.uniform(0, 3, n).astype(dtype)
    for options in ({}, {"ignore_index": int(labels[3])}, {"weight": weight}, {"z_loss": 0.25}):
        for reduction in ("none", "mean"):
            named = {**options, "reduction": reduction, "label_smoothing": 0.1}
            check("softmax_cross_entropy", x, labels, what="rows", **named)
            check("softmax_cross_entropy", np.ascontiguousarray(x.T), labels, 0, what="columns", **named)
    for options in ({}, {"weight": weight - 1}, {"label_smoothing": 0.3, "z_loss": 1e-3}):
        check("softmax_cross_entropy", x, t, what="rows", **options)
        check("softmax_cross_entropy", np.ascontiguousarray(x.T), t.T, 0, what="columns", reduction="none", **options)


def test_many_rows(dtype):
    """Rows whose sums are in doubt, some in ten thousand, are among them."""
    random = np.random.default_rng(1)
    x, labels = random.normal(0, 3, (100_000, 100)).astype(dtype), random.integers(0, 100, 100_000)
    check("softmax_cross_entropy", x, labels, label_smoothing=0.1, ignore_index=2)
    check("softmax_cross_entropy", x, labels, label_smoothing=0.1, reduction="none")


def test_images(dtype):
    random = np.random.default_rng(5)
    x, labels = random.normal(0, 3, (4, 21, 60, 70)).astype(dtype), random.integers(0, 21, (4, 60, 70))
    for reduction in ("none", "mean"):
        check("softmax_cross_entropy", x, labels, 1, reduction=reduction, label_smoothing=0.1, ignore_index=3)
        check("softmax_cross_entropy", x, stablesoft.softmax(x[::-1], axis=1), 1, reduction=reduction)


def test_bad_labels(dtype):
    random = np.random.default_rng(4)
    for n in (21, 3000):
        x, good = random.normal(size=(40, n)).astype(dtype), random.integers(0, n, 40)
        labels = good.copy()
        labels[[3, 8, 9]] = n, -1, 2**62
        bad = labels != good
        options = {"reduction": "none", "return_grad": True, "label_smoothing": 0.1}
        loss, gradient = fetched(stablesoft.softmax_cross_entropy(cupy.asarray(x), cupy.asarray(labels), **options))
        want, slope = stablesoft.softmax_cross_entropy(x, good, **options)
        assert np.isnan(loss[bad]).all()
        assert np.isnan(gradient[bad]).all()
        assert_same_bits(loss[~bad], want[~bad], "loss")
        assert_same_bits(gradient[~bad], slope[~bad], "gradient")


@pytest.mark.parametrize("shape", [(64, 100), (8, 9000), (20_000, 64)])
def test_capture(dtype, shape):
    random = np.random.default_rng(10)
    x, labels = random.normal(size=shape).astype(dtype), random.integers(0, shape[1], shape[0])
    check_captured(stablesoft.softmax_cross_entropy, x, labels, return_grad=True, label_smoothing=0.1)
    check_captured(stablesoft.softmax_cross_entropy, x, stablesoft.softmax(-x, axis=1), return_grad=True)
