"""CuPy's doors for weights, signs, means over a mask and logcumsumexp, over host memory as in test_cupy_emulated.py."""

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (make test-cuda)")

from test_cupy_emulated import device, hosted, seen, selections  # noqa: E402, F401
from test_reproducibility import assert_same_bits  # noqa: E402

import stablesoft  # noqa: E402
from emulation import EMULATED  # noqa: E402
from stablesoft import _cupy  # noqa: E402

pytestmark = [pytest.mark.cuda, *EMULATED, pytest.mark.usefixtures("device", "selections")]
KINDS = pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
AXES = pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])


def lent(options):
    return {name: hosted(one) if isinstance(one, np.ndarray) else one for name, one in options.items()}


def check(function, x, axis, options):
    """The result and the sign, with and without `out`; prepared, and from the plans."""
    want = function(x, axis, **options)
    for y in (None, np.empty_like(np.asarray(want[0] if isinstance(want, tuple) else want)), None):
        out = None if y is None else hosted(y)
        got = function(hosted(x), axis, out=out, **lent(options))
        pairs = [(got, want)] if not isinstance(want, tuple) else zip(got, want, strict=True)
        for place, (one, other) in enumerate(pairs):
            assert type(one) is cupy.ndarray
            assert place > 0 or out is None or one is out
            assert_same_bits(seen(one), np.asarray(other), (axis, options))


@KINDS
@AXES
def test_weights(device, kind, axis):  # noqa: F811
    random = np.random.default_rng(1)
    whole = random.normal(0, 3, (5, 6, 40)).astype(kind)
    b, mask = random.normal(0, 1, (5, 6, 40)).astype(kind), random.random((6, 40)) < 0.5
    mask[2] = False
    for x in (whole, whole[:, ::-1, ::-1], np.asfortranarray(whole)):
        for weights in (b, np.abs(b[0]), b[:, :1, :1]):
            for options in ({}, {"return_sign": True}, {"return_sign": True, "where": mask, "keepdims": True}):
                check(stablesoft.logsumexp, x, axis, {"b": weights, **options})
    assert all(name.startswith(("weights", "taken")) for name in device.made)


@KINDS
@AXES
def test_signs(device, kind, axis):  # noqa: F811
    """Without weights the usual kernels answer, and the sign is seen from the result."""
    x = np.random.default_rng(2).normal(0, 3, (5, 6, 40)).astype(kind)
    x[2] = -np.inf
    x[3, 4] = np.nan
    mask = np.random.default_rng(3).random((6, 40)) < 0.5
    mask[2] = False
    for options in ({}, {"where": mask}, {"keepdims": True}):
        check(stablesoft.logsumexp, x, axis, {"return_sign": True, **options})
    assert all(name.startswith("logsumexp") for name in device.made)


@KINDS
@AXES
def test_means(device, kind, axis):  # noqa: F811
    random = np.random.default_rng(4)
    x, mask = random.normal(0, 3, (5, 6, 40)).astype(kind), random.random((6, 40)) < 0.5
    mask[2] = False
    for where in (mask, mask[:, :1], random.random((5, 6, 40)) < 0.02):
        for keepdims in (False, True):
            check(stablesoft.logmeanexp, x, axis, {"where": where, "keepdims": keepdims})
    assert all(name.startswith(("means", "taken")) for name in device.made)


@KINDS
def test_few_huge_rows(device, kind):  # noqa: F811
    random = np.random.default_rng(5)
    x, b = random.normal(0, 3, (2, 9000)).astype(kind), random.normal(0, 1, (2, 9000)).astype(kind)
    for array, mass, axis in ((x, b, 1), (np.ascontiguousarray(x.T), b.T, 0)):
        check(stablesoft.logsumexp, array, axis, {"b": mass, "return_sign": True})
        check(stablesoft.logmeanexp, array, axis, {"where": mass > 0})
    assert device.made[:4] == [f"weights_{kind}_long"] * 3 + [f"taken_{kind}_ladder"]


def test_overlap(dtype):
    """A result near 0 is read as a mark by the second launch, which must not find it among the elements or weights."""
    a = np.log(np.full((8, 1), 0.5, dtype))
    b, x = np.full((8, 1), 2.0, dtype), np.tile(a, (1, 2))
    want = stablesoft.logsumexp(a, 1, b, keepdims=True)
    out = a.copy()
    shared = hosted(out)
    assert stablesoft.logsumexp(shared, 1, hosted(b), keepdims=True, out=shared) is shared
    assert_same_bits(out, want, "a")
    want = stablesoft.logsumexp(x, 1, b, keepdims=True)
    shared = hosted(b)
    assert stablesoft.logsumexp(hosted(x), 1, shared, keepdims=True, out=shared) is shared
    assert_same_bits(b, want, "b")


@KINDS
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumulative(device, kind, axis):  # noqa: F811
    whole = np.random.default_rng(6).normal(0, 3, (5, 6, 40)).astype(kind)
    for x in (whole, whole[:, ::-1, ::-2], np.asfortranarray(whole)):
        for options in ({}, {"reverse": True}, {"exclusive": True}, {"reverse": True, "exclusive": True}):
            check(stablesoft.logcumsumexp, x, axis, options)
            same = hosted(x.copy())
            assert stablesoft.logcumsumexp(same, axis, out=same, **options) is same
            assert_same_bits(seen(same), stablesoft.logcumsumexp(x, axis, **options), options)
    x = whole.reshape(-1)
    check(stablesoft.logcumsumexp, x, 0, {})
    assert all(name.startswith("cumulative") for name in device.made)
    x = hosted(x)
    assert _cupy.answer("logcumsumexp", x, None) is None
    assert _cupy.answer("logcumsumexp", x, 1) is None
    assert _cupy.answer("logcumsumexp", x, 0, reverse=1) is None


def test_declined(device):  # noqa: F811
    """What the kernels do not take, the definition gets."""
    x, row = hosted(np.ones((3, 4))), np.ones(4)
    assert _cupy.answer("logmeanexp", x, 1, 0, where=hosted(row > 0)) is None
    assert _cupy.answer("logmeanexp", x, (), False, where=hosted(row > 0)) is None
    for b, sign in ((None, 1), ([1.0] * 4, False), (hosted(np.ones(3)), True), (hosted(row.astype("float32")), True),
                    (hosted(row, 1), False)):  # fmt: skip
        assert _cupy.answer("logsumexp", x, 1, b, False, sign) is None
    assert _cupy.answer("logsumexp", x, 1, x, False, True, where=hosted(np.ones(3, bool))) is None
    assert _cupy.answer("logsumexp", x, (), x, False, True) is None
    assert not device.made
