"""Caffe's layers of CuPy arrays, as in test_cupy_emulated.py."""

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (make test-cuda)")


from test_cupy_emulated import device, hosted, pytestmark, same_loss  # noqa: E402, F401

from stablesoft import caffe  # noqa: E402

NORMALIZATIONS = pytest.mark.parametrize("normalization", caffe.NORMALIZATIONS)
KINDS = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])


@KINDS
@NORMALIZATIONS
def test_caffe(device, kind, normalization):  # noqa: F811
    """Caffe's softmax layer: its four divisors, the largest loss, the factor of the gradient, its shapes of labels."""
    random = np.random.default_rng(6)
    images, flat = random.normal(0, 60, (3, 7, 4, 5)).astype(kind), random.normal(0, 60, (9, 1000)).astype(kind)
    for x, shape, axis in ((images, (3, 1, 4, 5), 1), (images, (3, 20), 1), (images, (3, 7, 4), -1), (flat, (9, 1), 1)):
        labels = random.integers(0, x.shape[axis], shape)
        for options in ({}, {"clamp": False, "loss_weight": -0.3}, {"ignore_label": int(labels.flat[0])}):
            for more in ({}, {"return_grad": True}, {"return_grad": True, "return_prob": True, "loss_weight": 3.0}):
                options = {**options, **more, "axis": axis, "normalization": normalization}
                want = caffe.softmax_with_loss(x, labels, **options)
                got = caffe.softmax_with_loss(hosted(x), hosted(labels), **options)
                same_loss(got, want, (shape, options))
    everywhere = {"ignore_label": 2, "normalization": normalization, "return_grad": True}
    want = caffe.softmax_with_loss(flat, np.full(9, 2), **everywhere)
    same_loss(caffe.softmax_with_loss(hosted(flat), hosted(np.full(9, 2)), **everywhere), want, "nothing counts")
    assert not [name for name in device.made if not name.startswith(("cross_entropy", "softmax"))]
    device.made.clear()
    caffe.softmax_with_loss(hosted(flat), hosted(np.zeros(9, int)), normalization=normalization)
    assert len(device.made) == 3


@KINDS
@NORMALIZATIONS
def test_caffe_sigmoid(device, kind, normalization):  # noqa: F811
    random = np.random.default_rng(8)
    x, t = random.normal(0, 30, (3, 7, 50)).astype(kind), random.choice([0.0, 1.0, 0.25, -1.0], (3, 350)).astype(kind)
    for options in ({}, {"ignore_label": -1}, {"ignore_label": 0}, {"ignore_label": 7}, {"ignore_label": 2**31 - 1}):
        for more in ({}, {"loss_weight": 0.3, "return_grad": True}):
            named = {**options, **more, "normalization": normalization}
            want = caffe.sigmoid_cross_entropy_loss(x, t, **named)
            same_loss(caffe.sigmoid_cross_entropy_loss(hosted(x), hosted(t), **named), want, named)
    counts = [name for name in device.made if name.endswith("_count")]
    assert bool(counts) == (normalization == "valid")
