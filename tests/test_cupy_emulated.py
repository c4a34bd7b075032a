"""The CuPy door from end to end without a GPU: CuPy arrays over host memory, launches run by the emulation."""

import ctypes

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (make test-cuda)")


from test_reproducibility import assert_same_bits  # noqa: E402

import stablesoft  # noqa: E402
from emulation import EMULATED, OPERATIONS, aligned, launch  # noqa: E402
from stablesoft import _cuda_kernels, _cupy, _cupy_losses, caffe  # noqa: E402

pytestmark = [pytest.mark.cuda, *EMULATED]


def hosted(array, device=0):
    """A CuPy array over the memory of a NumPy array."""
    low, high = np.lib.array_utils.byte_bounds(array)
    memory = cupy.cuda.UnownedMemory(low, high - low, array, device)
    pointer = cupy.cuda.MemoryPointer(memory, array.ctypes.data - low)
    return cupy.ndarray(array.shape, array.dtype, memptr=pointer, strides=array.strides)


def seen(array):
    """The NumPy array behind a CuPy array."""
    buffer = (ctypes.c_char * max(array.nbytes, 1)).from_address(array.data.ptr)
    return np.ndarray(array.shape, array.dtype, buffer, strides=array.strides).copy()


class Launches:
    """Stands for CuPy's functions."""

    def __init__(self, library):
        self.library, self.made = library, []

    def __call__(self, name):
        def run(grid, block, arguments, enable_cooperative_groups=False):
            self.made.append(name)
            addresses = [one if isinstance(one, int) else one.ptr for one in arguments]
            launch(self.library, name, grid, block, enable_cooperative_groups, addresses)

        return run


@pytest.fixture
def device(emulation, monkeypatch):
    launches = Launches(emulation)
    memory = []

    def empty(shape, dtype, order="C"):
        memory.append(aligned((shape,) if isinstance(shape, int) else shape, dtype, order))
        return hosted(memory[-1])

    monkeypatch.setattr(_cupy, "_function", launches)
    monkeypatch.setattr(_cupy, "_plans", {})
    monkeypatch.setattr(_cupy.runtime, "getDevice", lambda: 0)
    monkeypatch.setattr(_cupy.runtime, "deviceGetAttribute", lambda *_: 2)
    _cupy.slow_doubles.cache_clear()
    _cupy.multiprocessors.cache_clear()
    monkeypatch.setattr(cupy, "empty", empty)
    monkeypatch.setattr(cupy, "zeros", empty)  # `aligned` clears its memory
    return launches


@OPERATIONS
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1)])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_calls(device, operation, axis, kind):
    random = np.random.default_rng(1)
    whole = random.normal(0, 3, (5, 6, 40)).astype(kind)
    for x in (whole, whole[::2, ::-1, 3:], np.asfortranarray(whole)):
        want = getattr(stablesoft, operation)(x, axis)
        for _ in range(2):  # prepared, and from the plans
            got = getattr(stablesoft, operation)(hosted(x), axis)
            assert type(got) is cupy.ndarray
            assert_same_bits(seen(got), want, (axis, kind))
    assert device.made


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_nan_anywhere(kind):
    """Threads that share a row in registers go the same way wherever its NaN is, also beside infinities."""
    for n in (8, 16, 60, 250):
        x = aligned((2 * n, n), kind)
        x[...] = np.random.default_rng(n).normal(0, 3, x.shape)
        x[np.arange(2 * n), np.arange(2 * n) % n] = np.nan
        x[np.arange(n, 2 * n), np.arange(n) * 7 % n] = np.inf
        np.fill_diagonal(x[n:], np.nan)
        for operation in _cuda_kernels.OPERATIONS:
            got = getattr(stablesoft, operation)(hosted(x), 1)
            assert_same_bits(seen(got), getattr(stablesoft, operation)(x, 1), (operation, n))
        labels = np.arange(2 * n) * 3 % n
        for loss in (stablesoft.softmax_cross_entropy, stablesoft.softmax_focal_loss):
            options = {"reduction": "none", "return_grad": True}
            same_loss(loss(hosted(x), hosted(labels), **options), loss(x, labels, **options), n)


def test_slow_doubles(device, monkeypatch):
    """The device says whether float32 and float16 are computed in pairs of floats."""
    ratio = _cupy.runtime.cudaDevAttrSingleToDoublePrecisionPerfRatio
    monkeypatch.setattr(_cupy.runtime, "deviceGetAttribute", lambda wanted, _: 64 if wanted == ratio else 2)
    for kind, slow in (("float16", True), ("float32", True), ("float64", False)):
        x, t = np.random.default_rng(4).normal(0, 3, (2, 6, 40)).astype(kind)
        calls = [(name, x, 1) for name in OPERATIONS.args[1]] + [(name, x) for name in _cuda_kernels.UNARY]
        calls += [(name, x, t) for name in _cuda_kernels.BINARY]
        for reduction in ("none", "mean"):
            calls.append(("softmax_cross_entropy", x, np.arange(6), {"reduction": reduction, "return_grad": True}))
            calls.append(("sigmoid_cross_entropy", x, t, {"reduction": reduction, "return_grad": True}))
        for name, *arguments in calls:
            options = arguments.pop() if isinstance(arguments[-1], dict) else {}
            lent = [hosted(one) if isinstance(one, np.ndarray) else one for one in arguments]
            device.made.clear()
            function = getattr(stablesoft, name)
            same_loss(function(*lent, **options), function(*arguments, **options), (name, kind))
            assert device.made[0].endswith("_in_floats") == slow, name


def test_normal_form(device):
    """What the door does not read at once reaches the kernels in its normal form."""
    x = np.random.default_rng(2).normal(size=(4, 9))
    for operation in _cuda_kernels.OPERATIONS:
        got = getattr(stablesoft, operation)(hosted(x), axis=np.int64(1))
        assert_same_bits(seen(got), getattr(stablesoft, operation)(x, axis=1), operation)
    got = stablesoft.softmax(hosted(x), axis=-1, temperature=np.float64(1.0))
    assert_same_bits(seen(got), stablesoft.softmax(x, axis=-1), "temperature")
    assert len(device.made) == 5 + 2  # two of them with the ladder


@pytest.mark.usefixtures("device")
def test_keepdims():
    x = np.random.default_rng(2).normal(size=(4, 9, 3))
    for operation in _cuda_kernels.REDUCTIONS:
        got = getattr(stablesoft, operation)(hosted(x), axis=1, keepdims=True)
        assert_same_bits(seen(got), getattr(stablesoft, operation)(x, axis=1, keepdims=True), operation)


@pytest.mark.usefixtures("device")
def test_out():
    x = np.random.default_rng(3).normal(size=(7, 33)).astype("float32")
    want = stablesoft.softmax(x, axis=1)
    for y in (np.empty_like(x), np.asfortranarray(x), np.empty((7, 66), "float32")[:, ::2], x.copy()):
        out = hosted(y)
        assert stablesoft.softmax(hosted(x), axis=1, out=out) is out
        assert_same_bits(y, want, y.strides)
    out = hosted(x)
    stablesoft.softmax(out, axis=1, out=out)
    assert_same_bits(x, want, "in place")


@pytest.mark.usefixtures("device", "selections")
def test_overlap():
    """Arrays that are of one memory but not of one allocation, as two that came by DLPack."""
    memory = np.random.default_rng(3).normal(size=123)
    whole, x, y = memory.reshape(3, 41), memory[:-3].reshape(3, 40), memory[3:].reshape(3, 40)
    assert _cupy.may_share_memory(hosted(x), hosted(y))
    assert _cupy.may_share_memory(hosted(x[::-1]), hosted(y[2:]))
    assert not _cupy.may_share_memory(hosted(whole[:1]), hosted(whole[1:]))
    assert not _cupy.may_share_memory(hosted(whole[2]), hosted(whole[1::-1]))
    want = stablesoft.logcumsumexp(x, axis=0)
    stablesoft.logcumsumexp(hosted(x), axis=0, out=hosted(y))
    assert_same_bits(y, want, "logcumsumexp")
    b, total = np.full(3, 2.0), np.full((3, 1), 2.0)
    want = stablesoft.logsumexp(whole, axis=1, b=total)
    stablesoft.logsumexp(hosted(whole), 1, hosted(np.broadcast_to(b[:, None], whole.shape)), out=hosted(b))
    assert_same_bits(b, want, "logsumexp")


@pytest.mark.parametrize(("out", "error", "message"), [
    (np.empty((3, 4)), TypeError, "out is an array of numpy and the input one of cupy"),
    (hosted(np.empty((4, 3))), ValueError, "out must have shape"),
    (hosted(np.empty((3, 4), "float32")), TypeError, "out must have dtype"),
    (hosted(np.empty((3, 4)), device=1), ValueError, "device 1"),
    ([1.0], TypeError, "out must be an array"),
])  # fmt: skip
def test_bad_out(device, out, error, message):
    with pytest.raises(error, match=message):
        stablesoft.softmax(hosted(np.ones((3, 4))), axis=1, out=out)
    assert not device.made


def test_declined(device):
    """What the kernels do not take, the definition gets."""
    x = hosted(np.ones((3, 4)))
    for options in ({"temperature": "2"}, {"temperature": 0.0}, {"temperature": -1.0}, {"floor": 1.5}, {"floor": 0},
                    {"where": True}, {"where": hosted(np.ones(3, bool))}, {"where": x}):  # fmt: skip
        assert _cupy.answer("softmax", x, 1, **options) is None
    for axis in (2, (1, 1), 1.0, (), True):
        assert _cupy.answer("softmax", x, axis) is None
    assert _cupy.answer("softmax", hosted(np.ones((3, 4), "int64")), 1) is None
    assert not device.made


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", [*_cuda_kernels.UNARY, *_cuda_kernels.BINARY])
def test_elementwise(device, name, kind):
    random = np.random.default_rng(5)
    a, b = random.uniform(0, 1, (2, 20, 30)).astype(kind)
    for first, second in (
        (a, b),
        (a[::2, ::-1], b[:10, :1]),
        (np.asfortranarray(a), np.asfortranarray(b)),
        (a[0, 0], b),
    ):
        arguments = (first, second) if name in _cuda_kernels.BINARY else (first,)
        function = getattr(stablesoft, name)
        want = np.asarray(function(*arguments))
        got = function(*(hosted(np.asarray(x)) for x in arguments))
        assert_same_bits(seen(got), want, first.shape)
        y = np.empty((*want.shape, 2), kind)[..., 0]
        out = hosted(y)
        assert function(*(hosted(np.asarray(x)) for x in arguments), out=out) is out
        assert_same_bits(y, want, "out")
    assert all(launched == f"{name}_{kind}" for launched in device.made)
    with pytest.raises(ValueError, match="device 1"):
        function(*[hosted(a)] * len(arguments), out=hosted(b, device=1))


# ---- options ----


@pytest.fixture
def selections(monkeypatch):
    """The functions of CuPy that the doors call for masks and signs."""

    def where(mask, a, b):
        kept = np.where(seen(mask), seen(a), seen(b) if isinstance(b, cupy.ndarray) else b)
        return hosted(np.asfortranarray(kept) if a.flags.f_contiguous and not a.flags.c_contiguous else kept)

    def copyto(to, values):
        buffer = (ctypes.c_char * to.nbytes).from_address(to.data.ptr)
        np.ndarray(to.shape, to.dtype, buffer)[...] = seen(values)

    monkeypatch.setattr(cupy, "isnan", lambda x: hosted(np.asarray(np.isnan(seen(x)))))
    monkeypatch.setattr(cupy, "greater", lambda x, bound: hosted(np.asarray(seen(x) > bound)))
    monkeypatch.setattr(cupy, "where", where)
    monkeypatch.setattr(cupy, "copyto", copyto)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.usefixtures("selections")
def test_options(device, kind):
    random = np.random.default_rng(3)
    x = random.normal(0, 3, (5, 6, 40)).astype(kind)
    mask, few = random.random((6, 40)) < 0.5, random.random((5, 6, 40)) < 0.02
    for operation in _cuda_kernels.OPERATIONS:
        softmax = operation in ("softmax", "log_softmax")
        choices = [{"where": mask}, {"where": few}] if operation != "logmeanexp" else []
        if softmax:
            choices += [{"temperature": 0.3}, {"temperature": 2, "where": mask}]
        if operation == "softmax":
            choices += [{"floor": 0.1}, {"floor": 0.1, "where": few, "temperature": 3.0}]
        for options in choices:
            lent = {name: hosted(one) if name == "where" else one for name, one in options.items()}
            for axis in (-1, 0, (0, 2)):
                want = getattr(stablesoft, operation)(x, axis=axis, **options)
                got = getattr(stablesoft, operation)(hosted(x), axis=axis, **lent)
                assert_same_bits(seen(got), want, (operation, options, axis))
                if softmax:
                    y = np.empty_like(x)
                    out = hosted(y)
                    assert getattr(stablesoft, operation)(hosted(x), axis=axis, out=out, **lent) is out
                    assert_same_bits(y, want, "out")
    assert device.made


# ---- losses ----


def same_loss(got, want, what):
    """Loss and gradient, or the loss alone."""
    for one, other in zip(*((x if isinstance(x, tuple) else (x,)) for x in (got, want)), strict=True):
        assert type(one) is cupy.ndarray
        assert_same_bits(seen(one), np.asarray(other), what)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("return_grad", [False, True])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_cross_entropy(device, kind, return_grad, reduction):
    random = np.random.default_rng(1)
    whole = random.normal(0, 3, (5, 6, 40)).astype(kind)
    for x, axis in ((whole, -1), (whole[::2, ::-1, 3:], 2), (np.asfortranarray(whole), 1), (whole, 0)):
        shape = tuple(length for i, length in enumerate(x.shape) if i != axis % 3)
        labels = random.integers(0, x.shape[axis], shape)
        weight = random.uniform(0, 2, x.shape[axis]).astype("float32" if kind == "float16" else kind)
        for options in ({}, {"ignore_index": int(labels.flat[0])}, {"weight": weight}, {"z_loss": 0.1}):
            options |= {"reduction": reduction, "return_grad": return_grad}
            lent = {name: hosted(one) if name == "weight" else one for name, one in options.items()}
            want = stablesoft.softmax_cross_entropy(x, labels, axis, **options)
            for _ in range(2):  # prepared, and from the plans
                got = stablesoft.softmax_cross_entropy(hosted(x), hosted(labels), axis, **lent)
                same_loss(got, want, (axis, options))
    assert device.made


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_few_huge_rows(device, kind):
    """Blocks that share a row meet in the scratch memory."""
    random = np.random.default_rng(4)
    rows = random.normal(0, 3, (2, 9000)).astype(kind)
    for x, axis in ((rows, 1), (np.repeat(rows.T[:5000], 20, axis=1), 0)):
        labels = random.integers(0, x.shape[axis], x.shape[1 - axis])
        for options in ({"reduction": "none"}, {"ignore_index": int(labels[0])}):
            for return_grad in (False, True):
                want = stablesoft.softmax_cross_entropy(x, labels, axis, return_grad=return_grad, **options)
                device.made.clear()
                got = stablesoft.softmax_cross_entropy(
                    hosted(x), hosted(labels), axis, return_grad=return_grad, **options
                )
                same_loss(got, want, (axis, options))
                assert sum(name.endswith("_teams") for name in device.made) == 1


@pytest.mark.usefixtures("device")
def test_one_row():
    x, label = np.array([1.0, 2.0, 0.5]), np.array(1)
    for reduction in ("none", "mean"):
        options = {"reduction": reduction, "return_grad": True}
        got = stablesoft.softmax_cross_entropy(hosted(x), hosted(label), **options)
        same_loss(got, stablesoft.softmax_cross_entropy(x, label, **options), reduction)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_sigmoid_cross_entropy(device, kind, reduction):
    random = np.random.default_rng(2)
    x, t = random.normal(0, 9, (20, 30)).astype(kind), random.integers(0, 2, (20, 30)).astype(kind)
    weight = random.uniform(0, 2, 30).astype(kind)
    for a, b in ((x, t), (x[::2, ::-1], t[1::2]), (np.asfortranarray(x), np.asfortranarray(t))):
        for options in ({}, {"weight": weight, "pos_weight": weight[:1]}):
            for return_grad in (False, True):
                more = {"reduction": reduction, "return_grad": return_grad}
                want = stablesoft.sigmoid_cross_entropy(a, b, **options, **more)
                lent = {name: spread(one, a.shape) for name, one in options.items()}
                got = stablesoft.sigmoid_cross_entropy(hosted(a), hosted(b), **lent, **more)
                same_loss(got, want, (a.shape, more))
    assert device.made


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.usefixtures("device")
def test_signs_of_zero(kind):
    """Where p is t the gradient is 0, and everywhere without a weight; its sign depends on that of the scale's rest."""
    x = np.linspace(-3, 3, 600).astype(kind)
    t = stablesoft.expit(x)
    for reduction in ("none", "sum", "mean"):
        want = stablesoft.sigmoid_cross_entropy(x, t, reduction=reduction, return_grad=True)
        got = stablesoft.sigmoid_cross_entropy(hosted(x), hosted(t), reduction=reduction, return_grad=True)
        same_loss(got, want, reduction)
    want = caffe.sigmoid_cross_entropy_loss(x, t, loss_weight=0.0, return_grad=True)
    same_loss(caffe.sigmoid_cross_entropy_loss(hosted(x), hosted(t), loss_weight=0.0, return_grad=True), want, "caffe")


def spread(array, shape):
    """A broadcast view, which CuPy would make by a kernel of its own."""
    return hosted(np.broadcast_to(array, shape))


def test_checked_labels(device, monkeypatch):
    """STABLESOFT_CHECK=1 makes a bad label the error that NumPy's arrays get."""
    x, labels = np.zeros((4, 3)), np.array([0, 2, 3, 7])
    monkeypatch.setattr(cupy, "asnumpy", seen)
    loss = stablesoft.softmax_cross_entropy(hosted(x), hosted(labels), reduction="none")
    assert np.isnan(seen(loss)).tolist() == [False, False, True, True]
    monkeypatch.setattr(_cupy_losses, "CHECKED", True)
    made = len(device.made)
    with pytest.raises(ValueError, match=r"labels\[2\] is 3, which is not one of the 3 classes"):
        stablesoft.softmax_cross_entropy(hosted(x), hosted(labels))
    with pytest.raises(ValueError, match=r"label\[2, 0\] is 3, which is not one of the 3 classes"):
        caffe.softmax_with_loss(hosted(x), hosted(labels.reshape(4, 1)))
    assert len(device.made) == made
    labels[2:] = 1, -5
    same_loss(
        stablesoft.softmax_cross_entropy(hosted(x), hosted(labels), ignore_index=-5),
        stablesoft.softmax_cross_entropy(x, labels, ignore_index=-5), "ignored",
    )  # fmt: skip


def test_declined_losses(device):
    x, labels = hosted(np.ones((3, 4))), hosted(np.zeros(3, int))
    for axis in (0, 2, np.int64(1)):
        assert _cupy.answer("softmax_cross_entropy", x, labels, axis) is None
    for options in ({"label_smoothing": 1.1}, {"reduction": "all"}, {"return_grad": 1}, {"ignore_index": 2**63},
                    {"z_loss": -1.0}, {"weight": [1.0] * 4}):  # fmt: skip
        assert _cupy.answer("softmax_cross_entropy", x, labels, **options) is None
    for other in (hosted(np.ones(3)), hosted(np.zeros(3, int), 1), [0, 1, 2],
                  hosted(np.zeros(3, np.uint64))):  # fmt: skip
        assert _cupy.answer("softmax_cross_entropy", x, other) is None
    for other in (labels, hosted(np.ones((3, 4), "float32")), hosted(np.ones((3, 4)), 1), [[1.0] * 4] * 3):
        assert _cupy.answer("sigmoid_cross_entropy", x, other) is None
    assert _cupy.answer("sigmoid_cross_entropy", x, x, weight=hosted(np.ones(3))) is None
    assert not device.made
