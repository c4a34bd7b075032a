"""Arrays of PyTorch and JAX that are lent to the kernels, and all those that must not be."""

import importlib
import sys
import threading

import numpy as np
import pytest
from test_reproducibility import assert_same_bits

import stablesoft
from stablesoft import _arrays, _lent, caffe, margin

pytestmark = pytest.mark.libraries
X = np.random.default_rng(0).normal(0, 4, (6, 9)).astype("float32")
UNARY = ("softmax", "log_softmax", "logsumexp", "logmeanexp", "logcumsumexp", "expit")


def call(name, x):
    return getattr(stablesoft, name)(x) if name == "expit" else getattr(stablesoft, name)(x, axis=-1)


def lends(x):
    """Whether the array's library lends it; the definition is a little off the kernels' bits."""
    lender = _arrays.kernels_of(type(x))
    return lender is not None and lender.over_numpy(lambda view: view.copy(), x, (), {}) is not None


# ---- PyTorch ----


@pytest.mark.parametrize("name", UNARY)
def test_layouts(torch, name):
    whole = torch.from_numpy(X.copy())
    for x in (whole, whole.T, whole[::2, 1:], whole[0].expand(3, 9), whole[:0], whole.reshape(2, 3, 9), whole[0, :1]):
        got = call(name, x)
        assert type(got) is torch.Tensor and not got.requires_grad
        assert_same_bits(got.numpy(), np.asarray(call(name, x.numpy())), x.shape)
    got = call(name, whole[0])
    assert type(got) is torch.Tensor and got.ndim == (1 if np.ndim(call(name, X[0])) else 0)


def test_options_and_dtypes(torch):
    """The definition's dtypes, also where NumPy would promote otherwise."""
    x = torch.from_numpy(X.copy())
    for b, dtype in ((2, torch.float32), ([1] * 9, torch.float32), ([1.0] * 9, torch.float64), (x > 0, torch.float32)):
        assert stablesoft.logsumexp(x, b=b).dtype == dtype
    assert stablesoft.logaddexp(x, (x > 0).to(torch.int64)).dtype == torch.float32
    assert stablesoft.logaddexp(1.0, x).dtype == torch.float32
    assert_same_bits(stablesoft.logaddexp(1.0, x).numpy(), stablesoft.logaddexp(np.float32(1), X), "scalar")
    value, sign = stablesoft.logsumexp(x, axis=1, b=-x, return_sign=True)
    for got, right in zip((value, sign), stablesoft.logsumexp(X, axis=1, b=-X, return_sign=True), strict=True):
        assert_same_bits(got.numpy(), right, "sign")
    assert margin.arcface(x, torch.ones((3, 9), dtype=torch.int64), [0] * 6).dtype == torch.float32
    wide = x.to(torch.bfloat16)
    assert margin.arcface(wide, x, [0] * 6).dtype == torch.float32
    assert stablesoft.logsumexp(wide, b=x).dtype == torch.float32
    assert stablesoft.softmax_cross_entropy(wide, x.softmax(1), return_grad=True)[1].dtype == torch.bfloat16
    for kind in ("int8", "int64", "bool"):
        whole = x.to(getattr(torch, kind))
        assert_same_bits(stablesoft.softmax(whole).numpy(), stablesoft.softmax(X.astype(kind)), kind)


def test_refusals(torch):
    """The words are those for NumPy's arrays."""
    x = torch.from_numpy(X.copy())
    for error, word, bad in (
        (ValueError, "axis", lambda: stablesoft.softmax(x, axis=2)),
        (TypeError, "where must be boolean", lambda: stablesoft.softmax(x, where=x)),
        (ValueError, "temperature", lambda: stablesoft.softmax(x, temperature=0.0)),
        (ValueError, r"labels\[5\] is 9", lambda: stablesoft.softmax_cross_entropy(x, torch.arange(4, 10))),
        (TypeError, "is sparse", lambda: stablesoft.softmax(x.to_sparse())),
        (TypeError, "where is an array of numpy", lambda: stablesoft.softmax(x, where=X > 0)),
        (TypeError, "out must be an array of the input's library", lambda: stablesoft.softmax(x, out=X.copy())),
        (TypeError, "out must have dtype", lambda: stablesoft.softmax(x, out=x.double())),
        (ValueError, "out must have shape", lambda: stablesoft.softmax(x, out=x[:2])),
    ):
        with pytest.raises(error, match=word):
            bad()


@pytest.mark.parametrize("name", UNARY)
def test_gradients_are_asked_for(torch, name):
    """A tensor that requires a gradient, or a parameter, has one; where none is recorded it is lent."""
    for x in (torch.tensor(X, requires_grad=True), torch.nn.Parameter(torch.tensor(X))):
        assert not lends(x) and call(name, x).requires_grad
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                got = call(name, x)
                assert lends(x) and not got.requires_grad and got.is_inference() == (x * 1).is_inference()
                assert type(got) is torch.Tensor
            assert_same_bits(got.numpy(), call(name, X), name)
        assert_same_bits(call(name, x.detach()).numpy(), call(name, X), name)
    weights = torch.ones(9, requires_grad=True)  # the second argument counts as well
    assert stablesoft.logsumexp(torch.tensor(X), b=weights.expand(6, 9)).requires_grad
    assert stablesoft.logaddexp(torch.tensor(X), weights).requires_grad
    assert stablesoft.softmax_cross_entropy(torch.tensor(X), [0] * 6, weight=weights).requires_grad
    assert margin.arcface(torch.tensor(X), weights.expand(3, 9), [0, 1, 2] * 2).requires_grad


def test_out(torch):
    x = torch.from_numpy(X.copy())
    expected = stablesoft.softmax(X, axis=1)
    for out in (torch.empty(6, 9), torch.empty(9, 6).T, x.clone()):
        version = out._version
        assert stablesoft.softmax(x, axis=1, out=out) is out
        assert_same_bits(out.numpy(), expected, out.stride())
        assert out._version > version
    total = torch.empty(6, dtype=torch.float32)
    assert stablesoft.logsumexp(x, axis=1, out=total) is total
    assert_same_bits(total.numpy(), stablesoft.logsumexp(X, axis=1), "logsumexp")
    value, sign = stablesoft.logsumexp(x, axis=1, b=-x, return_sign=True, out=total)
    assert value is total and bool(torch.all(sign == stablesoft.logsumexp(x, axis=1, b=-x, return_sign=True)[1]))
    assert stablesoft.logaddexp(x, x, out=x) is x
    assert_same_bits(x.numpy(), stablesoft.logaddexp(X, X), "logaddexp")
    half = x.to(torch.bfloat16)
    assert stablesoft.softmax(half, out=half) is half


def test_out_that_autograd_needs(torch):
    """An overwritten tensor is missed by the backward pass, as after every other function."""
    x, w = torch.from_numpy(X.copy()), torch.ones(6, 9, requires_grad=True)
    kept = w * x
    stablesoft.softmax(x, out=x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.sum().backward()
    with pytest.raises(RuntimeError):  # torch's own errors
        stablesoft.softmax(x, out=w)
    with torch.inference_mode():
        frozen = torch.empty(6, 9)
        stablesoft.softmax(x, out=frozen)
    with pytest.raises(RuntimeError, match="inference"):
        stablesoft.softmax(x, out=frozen)
    with pytest.raises(RuntimeError):
        stablesoft.softmax(x, out=torch.empty(9).expand(6, 9))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of torch.jit.script
def test_forward_derivatives(torch):
    x, tangent = torch.tensor(X, dtype=torch.float64), torch.ones(6, 9, dtype=torch.float64)
    forward = torch.autograd.forward_ad
    with forward.dual_level(), torch.no_grad():
        got = forward.unpack_dual(stablesoft.logsumexp(forward.make_dual(x, tangent), axis=1)).tangent
        torch.testing.assert_close(got, torch.ones(6, dtype=torch.float64))
    value, got = torch.func.jvp(lambda x: stablesoft.logsumexp(x, axis=1), (x,), (tangent,))
    torch.testing.assert_close(got, torch.ones(6, dtype=torch.float64))
    assert value.shape == (6,)


def test_views_that_numpy_has_not(torch):
    """Bits that say "negative" or "conjugate", zeros without memory, subclasses."""
    complex_ = torch.tensor(X[:, :8].reshape(6, 4, 2).copy())
    negative = torch.view_as_complex(complex_).conj().imag
    assert negative.is_neg() and not lends(negative)
    torch.testing.assert_close(stablesoft.softmax(negative, axis=1), torch.softmax(negative, 1))

    class Marked(torch.Tensor):
        pass

    assert isinstance(stablesoft.softmax(torch.tensor(X).as_subclass(Marked)), Marked)


def test_who_looks_on(torch):
    """Traces, transforms and modes see every operation."""
    x = torch.tensor(X)
    seen = []
    torch.vmap(lambda row: (seen.append(lends(x)), row)[1])(x)
    torch.func.grad(lambda row: (seen.append(lends(x)), row.sum())[1])(x)
    torch.func.functionalize(lambda row: (seen.append(lends(row)), row)[1])(x)
    with torch.device("cpu"):
        seen.append(lends(x))
    with importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False):
        seen.append(lends(x))
    assert not any(seen) and lends(x)
    make_fx = importlib.import_module("torch.fx.experimental.proxy_tensor").make_fx
    traced = make_fx(lambda x: stablesoft.softmax(x, axis=1))(x)
    torch.testing.assert_close(traced(2 * x), torch.softmax(2 * x, 1))


@pytest.mark.filterwarnings("ignore")  # torch.jit is on its way out, and says so
def test_recorded_calls(torch):
    """What is recorded holds for other values, too."""
    x = torch.tensor(X)
    traced = torch.jit.trace(lambda x: stablesoft.logsumexp(x, axis=1), (x,))
    torch.testing.assert_close(traced(3 * x), torch.logsumexp(3 * x, 1))
    exported = torch.export.export(Softmax(torch), (x,), strict=False)
    torch.testing.assert_close(exported.module()(3 * x), torch.softmax(3 * x, 1))


def Softmax(torch):
    class Module(torch.nn.Module):
        def forward(self, x):
            return stablesoft.softmax(x, axis=1)

    return Module()


@pytest.mark.filterwarnings("ignore")
def test_compiled_by_dynamo(torch):
    """The compiler steps aside for the doors: values, gradients and new values are right."""
    function = torch.compile(lambda x: 2 * stablesoft.softmax(x + 1, axis=1) + 1, backend="eager")
    for x in (torch.tensor(X), torch.tensor(-X)):
        torch.testing.assert_close(function(x), 2 * torch.softmax(x + 1, 1) + 1)
        needed, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
        function(needed)[:, 0].sum().backward()
        (2 * torch.softmax(plain + 1, 1))[:, 0].sum().backward()
        torch.testing.assert_close(needed.grad, plain.grad)


def test_functional_call(torch):
    module = torch.nn.Linear(9, 4)
    function = lambda p, x: stablesoft.softmax_cross_entropy(torch.func.functional_call(module, p, (x,)), [0] * 6)  # noqa: E731
    parameters = dict(module.named_parameters())
    got = torch.func.grad(function)(parameters, torch.tensor(X))
    function(parameters, torch.tensor(X)).backward()
    for name, one in parameters.items():
        torch.testing.assert_close(got[name], one.grad)


def test_many_threads(torch):
    """No state is shared between calls; gradient modes belong to a thread."""
    x, expected, found = torch.tensor(X, requires_grad=True), stablesoft.softmax(X, axis=1), []

    def work(lent):
        for _ in range(200):
            with torch.set_grad_enabled(not lent):
                got = stablesoft.softmax(x, axis=1)
            same = np.array_equal(got.detach().numpy(), expected) if lent else got.requires_grad
            found.append(same)

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 800 and all(found)


def test_unknown_torch(torch, monkeypatch):
    """Where a version does not say what has to be known, nothing is lent."""
    monkeypatch.delitem(sys.modules, "stablesoft._torch", raising=False)
    monkeypatch.delattr(torch._C, "_len_torch_dispatch_stack")
    monkeypatch.delattr(stablesoft, "_torch", raising=False)
    assert _lent.lender_of(torch.Tensor) is None


# ---- JAX ----


@pytest.mark.parametrize("name", UNARY)
def test_jax(jax, name):
    """NumPy's bits on the array's own device, bound to it if the array is."""
    here, there = jax.devices()[:2]
    for x in (jax.numpy.asarray(X), jax.device_put(X, here), jax.device_put(X, there), jax.numpy.asarray(X).T):
        assert lends(x)
        got = call(name, x)
        assert got.devices() == x.devices() and got.committed == x.committed and not got.weak_type
        assert_same_bits(np.asarray(got), call(name, np.asarray(x)), name)
    with jax.default_device(there):
        x = jax.numpy.asarray(X)
    assert call(name, x).devices() == {there} and not call(name, x).committed


def test_jax_that_is_not_lent(jax):
    x = jax.numpy.asarray(X)
    weak = jax.numpy.asarray(1.0)
    assert weak.weak_type and stablesoft.expit(weak).weak_type
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("rows",))
    spread = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows")))
    assert not lends(spread)
    got = stablesoft.softmax(spread, axis=1)
    np.testing.assert_allclose(np.asarray(got), stablesoft.softmax(X, axis=1), rtol=1e-6)
    assert len(got.devices()) == 2
    with pytest.raises(TypeError, match="immutable"):
        stablesoft.softmax(x, out=x)
    with jax.enable_x64(True):
        wide = jax.numpy.asarray(X, dtype="float64")
    with jax.enable_x64(False):
        assert not lends(wide) and lends(x)
    assert_same_bits(np.asarray(x), X, "unchanged")


def test_jax_transformations(jax):
    """Also with arrays that the transformed function does not get as arguments."""
    x, labels = jax.numpy.asarray(X), jax.numpy.zeros(6, int)
    loss = stablesoft.softmax_cross_entropy(x, labels, return_grad=True)
    gradient = jax.grad(lambda x: stablesoft.softmax_cross_entropy(x, labels))(x)
    np.testing.assert_allclose(np.asarray(gradient), np.asarray(loss[1]), rtol=1e-6, atol=1e-8)
    both = lambda y: stablesoft.softmax(x, axis=1) * y  # noqa: E731
    for got in (jax.jit(both)(x), jax.vmap(lambda y: both(y[None]))(x)[:, 0][0], jax.jvp(both, (x,), (x,))[0]):
        assert np.all(np.isfinite(np.asarray(got)))
    np.testing.assert_allclose(np.asarray(jax.jit(both)(x)), stablesoft.softmax(X, axis=1) * X, rtol=1e-6)
    kept = jax.jit(lambda y: y + 1, donate_argnums=0)
    y = jax.numpy.asarray(X)
    stablesoft.softmax(y)
    kept(y)
    if y.is_deleted():
        with pytest.raises(RuntimeError, match="deleted"):
            stablesoft.softmax(y)


def test_caffe(torch, jax):
    labels = np.array([0, 3, 255, 1, 2, 8])
    options = {"ignore_label": 255, "return_prob": True, "return_grad": True}
    expected = caffe.softmax_with_loss(X, labels, **options)
    for array in (torch.from_numpy, jax.numpy.asarray):
        got = caffe.softmax_with_loss(array(X.copy()), array(labels), **options)
        for one, right in zip(got, expected, strict=True):
            assert_same_bits(np.asarray(one), np.asarray(right), "caffe")
        named = caffe.softmax_with_loss(data=array(X.copy()), label=array(labels), **options)
        assert isinstance(named[0], type(got[0]))
