"""Focal losses of CuPy arrays, as in test_cupy_emulated.py."""

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (make test-cuda)")


from test_cupy_emulated import device, hosted, pytestmark, same_loss  # noqa: E402, F401

import stablesoft  # noqa: E402
from stablesoft import _cuda_kernels, _cupy  # noqa: E402

KINDS = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "sum", "mean"])


@REDUCTIONS
@KINDS
def test_softmax(device, kind, reduction):  # noqa: F811
    random = np.random.default_rng(1)
    whole = random.normal(0, 3, (5, 6, 40)).astype(kind)
    for x, axis in ((whole, -1), (whole[::2, ::-1, 3:], 2), (np.asfortranarray(whole), 1), (whole, 0)):
        shape = tuple(length for i, length in enumerate(x.shape) if i != axis % 3)
        labels = random.integers(0, x.shape[axis], shape)
        alpha = random.uniform(0, 2, x.shape[axis]).astype("float32" if kind == "float16" else kind)
        for options in ({}, {"alpha": alpha, "gamma": 0.5}, {"alpha": 0.3, "gamma": 3, "ignore_index": 1}):
            for return_grad in (False, True):
                named = {**options, "reduction": reduction, "return_grad": return_grad}
                lent = {name: hosted(one) if isinstance(one, np.ndarray) else one for name, one in named.items()}
                want = stablesoft.softmax_focal_loss(x, labels, axis, **named)
                for _ in range(2):  # prepared, and from the plans
                    same_loss(stablesoft.softmax_focal_loss(hosted(x), hosted(labels), axis, **lent), want, named)
    assert all(name.startswith((_cuda_kernels.FOCAL, "cross_entropy")) for name in device.made)
    assert any(name.startswith(_cuda_kernels.FOCAL) for name in device.made)


@pytest.mark.usefixtures("device")
def test_normal_form():
    """What the door does not read at once reaches the kernels in its normal form."""
    x, labels = np.random.default_rng(2).normal(size=(4, 9)), np.arange(4)
    options = {"gamma": 2.0, "return_grad": True}
    got = stablesoft.softmax_focal_loss(hosted(x), hosted(labels), axis=np.int64(1), **options)
    same_loss(got, stablesoft.softmax_focal_loss(x, labels, **options), "axis")
    got = stablesoft.softmax_focal_loss(hosted(x), hosted(labels), return_grad=True, gamma=np.float64(2.0))
    same_loss(got, stablesoft.softmax_focal_loss(x, labels, **options), "gamma")


def test_without_power(device):  # noqa: F811
    """A focal loss whose gamma is 0 is a cross-entropy whose mean does not know of the weights."""
    random = np.random.default_rng(7)
    x, labels, alpha = random.normal(0, 3, (9, 20)), random.integers(0, 20, 9), random.uniform(0, 2, 20)
    options = {"gamma": 0.0, "ignore_index": int(labels[0]), "return_grad": True}
    for weight in (alpha, 0.25):
        lent = hosted(weight) if weight is alpha else weight
        want = stablesoft.softmax_focal_loss(x, labels, alpha=weight, **options)
        same_loss(stablesoft.softmax_focal_loss(hosted(x), hosted(labels), alpha=lent, **options), want, "focal")
    assert not [name for name in device.made if name.startswith(_cuda_kernels.FOCAL)]


def test_declined(device):  # noqa: F811
    x, labels = hosted(np.ones((3, 4))), hosted(np.zeros(3, int))
    for options in ({"gamma": -1.0}, {"gamma": np.inf}, {"gamma": "2"}, {"alpha": -1.0}, {"alpha": hosted(np.ones(3))},
                    {"alpha": [1.0] * 4}, {"reduction": "all"}):  # fmt: skip
        assert _cupy.answer("softmax_focal_loss", x, labels, **options) is None
    assert _cupy.answer("softmax_focal_loss", x, x) is None
    assert not device.made


@REDUCTIONS
@KINDS
def test_sigmoid(device, kind, reduction):  # noqa: F811
    random = np.random.default_rng(2)
    x, t = random.normal(0, 9, (20, 30)).astype(kind), random.integers(0, 2, (20, 30)).astype(kind)
    for a, b in ((x, t), (x[::2, ::-1], t[1::2]), (np.asfortranarray(x), np.asfortranarray(t))):
        for options in ({}, {"alpha": 0.25, "gamma": 3}, {"alpha": 1}):
            for return_grad in (False, True):
                named = {**options, "reduction": reduction, "return_grad": return_grad}
                want = stablesoft.sigmoid_focal_loss(a, b, **named)
                same_loss(stablesoft.sigmoid_focal_loss(hosted(a), hosted(b), **named), want, (a.shape, named))
    wide = {"gamma": np.float64(2.0), "return_grad": True}  # in normal form
    if kind != "float16":
        same_loss(stablesoft.sigmoid_focal_loss(hosted(x), hosted(t), **wide),
                  stablesoft.sigmoid_focal_loss(x, t, **wide), "normal form")  # fmt: skip
    assert all(name.startswith(_cuda_kernels.SIGMOID_FOCAL) for name in device.made)


def test_declined_sigmoid(device):  # noqa: F811
    x = hosted(np.ones((3, 4)))
    for options in ({"gamma": -1.0}, {"gamma": np.inf}, {"gamma": "2"}, {"alpha": -1.0}, {"alpha": 1.5},
                    {"alpha": x}, {"reduction": "all"}):  # fmt: skip
        assert _cupy.answer("sigmoid_focal_loss", x, x, **options) is None
    assert _cupy.answer("sigmoid_focal_loss", x, hosted(np.ones(4))) is None
    assert not device.made
