"""The CuPy door of label smoothing and of probabilities, without a GPU: as test_cupy_emulated.py."""

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (make test-cuda)")


from test_cupy_emulated import device, hosted, same_loss, seen  # noqa: E402, F401

import stablesoft  # noqa: E402
from emulation import EMULATED  # noqa: E402
from stablesoft import _cupy, _cupy_losses  # noqa: E402

pytestmark = [pytest.mark.cuda, *EMULATED]
KINDS = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])


def compare(x, labels, axis, **options):
    lent = {name: hosted(one) if name == "weight" else one for name, one in options.items()}
    want = stablesoft.softmax_cross_entropy(x, labels, axis, **options)
    for _ in range(2):  # prepared, and from the plans
        same_loss(stablesoft.softmax_cross_entropy(hosted(x), hosted(labels), axis, **lent), want, (axis, options))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("return_grad", [False, True])
@KINDS
def test_smoothing(device, kind, return_grad, reduction):  # noqa: F811
    random = np.random.default_rng(1)
    whole = random.normal(0, 3, (5, 6, 40)).astype(kind)
    for x, axis in ((whole, -1), (whole[::2, ::-1, 3:], 2), (np.asfortranarray(whole), 1), (whole, 0)):
        labels = random.integers(0, x.shape[axis], [n for i, n in enumerate(x.shape) if i != axis % 3])
        weight = random.uniform(0, 2, x.shape[axis]).astype("float32" if kind == "float16" else kind)
        for options in ({}, {"ignore_index": int(labels.flat[0])}, {"weight": weight}, {"z_loss": 0.1}):
            compare(x, labels, axis, label_smoothing=0.1, reduction=reduction, return_grad=return_grad, **options)
    assert {name.partition("_")[0] for name in device.made} <= {"smooth", "dense", "cross"}


@pytest.mark.parametrize("reduction", ["none", "mean"])
@KINDS
def test_probabilities(device, kind, reduction):  # noqa: F811
    random = np.random.default_rng(2)
    whole = random.normal(0, 3, (5, 6, 40)).astype(kind)
    for x, axis in ((whole, -1), (whole[::2, ::-1, 3:], 2), (np.asfortranarray(whole), 1)):
        t = random.uniform(0, 1, x.shape).astype(kind)
        t[0], t[0, 0, 3] = 0.0, 0.9
        weight = random.uniform(0, 2, x.shape[axis]).astype("float32" if kind == "float16" else kind)
        for given in (t, np.asfortranarray(t), t.astype("float64"), t.astype("float16")):
            for options in ({}, {"weight": weight, "label_smoothing": 0.2}):
                compare(x, given, axis, reduction=reduction, return_grad=True, **options)
    assert device.made


@pytest.mark.usefixtures("device")
def test_small_shapes():
    for options in ({"reduction": "none"}, {}):
        compare(np.array([1.0, 2.0, 0.5]), np.array(1), -1, label_smoothing=0.5, return_grad=True, **options)
        compare(np.array([[1.0], [2.0]]), np.array([0, 0]), 1, label_smoothing=0.5, return_grad=True, **options)
        compare(np.array([[1.0], [2.0]]), np.array([[0.5], [0.0]]), 1, return_grad=True, **options)


def test_normal_form(device, monkeypatch):  # noqa: F811
    """What the user gave in another form comes here by the definition."""
    random = np.random.default_rng(3)
    x, t, weight = random.normal(size=(4, 5)), random.uniform(0, 1, (4, 5)), random.uniform(0, 2, 5)
    monkeypatch.setattr(cupy, "asarray", lambda array, *_, **__: hosted(np.asarray(array)))
    want = stablesoft.softmax_cross_entropy(x, t, weight=weight, label_smoothing=0.1)
    got = stablesoft.softmax_cross_entropy(hosted(x), hosted(t), np.int64(-1), weight=hosted(weight),
                                           label_smoothing=np.float64(0.1))  # fmt: skip
    same_loss(got, want, "normal form")
    assert [name for name in device.made if name.startswith("dense")]


def test_checked_labels(monkeypatch, device):  # noqa: F811
    x, labels = np.zeros((4, 3)), np.array([0, 2, 3, 7])
    monkeypatch.setattr(cupy, "asnumpy", seen)
    loss = stablesoft.softmax_cross_entropy(hosted(x), hosted(labels), reduction="none", label_smoothing=0.1)
    assert np.isnan(seen(loss)).tolist() == [False, False, True, True]
    monkeypatch.setattr(_cupy_losses, "CHECKED", True)
    made = len(device.made)
    with pytest.raises(ValueError, match=r"labels\[2\] is 3, which is not one of the 3 classes"):
        stablesoft.softmax_cross_entropy(hosted(x), hosted(labels), label_smoothing=0.1)
    assert len(device.made) == made


def test_declined(device):  # noqa: F811
    x, t = hosted(np.ones((3, 4))), hosted(np.ones((3, 4)))
    for other in (hosted(np.ones((3, 4)), 1), hosted(np.ones((3, 4), complex)), hosted(np.ones(3)), [0, 1, 2],
                  hosted(np.zeros(3, np.uint64))):  # fmt: skip
        assert _cupy.answer("softmax_cross_entropy", x, other, label_smoothing=0.1) is None
    for options in ({"ignore_index": 1}, {"reduction": "all"}, {"return_grad": 1}, {"label_smoothing": -0.1},
                    {"weight": [1.0] * 4}, {"label_smoothing": "0"}):  # fmt: skip
        assert _cupy.answer("softmax_cross_entropy", x, t, **options) is None
    assert _cupy.answer("softmax_cross_entropy", x, hosted(np.zeros(3, int)), ignore_index=2**63,
                        label_smoothing=0.1) is None  # fmt: skip
    assert not device.made
