"""Derivatives by torch and JAX through the definitions: right, also of second order and at ties, and finite."""

import importlib
import math

import numpy as np
import pytest

import stablesoft
from libraries import CALLS, HARD_ROWS, Library, as_tuple
from stablesoft import caffe, margin

pytestmark = pytest.mark.libraries

SMOOTH = [name for name in CALLS if "floor" not in name]


def differentiable(torch, name):
    """The call of three rows, or columns, as a function of its first argument, and that argument."""
    function, arrays = CALLS[name]
    if "axis=0" in name and len(arrays) == 2 and "where" not in name:  # labels of columns
        arrays = [arrays[0][:, :3], arrays[1][:3]]
    else:
        arrays = [array[:3] if len(array) == len(arrays[0]) else array for array in arrays]
    x, *others = [torch.asarray(np.ascontiguousarray(array)) for array in arrays]

    def call(x):
        results = as_tuple(function(x, *others))
        results = results[:1] if name == "logsumexp(b)" else results  # without the sign
        return tuple(torch.where(torch.isfinite(result), result, 0.0) for result in results)

    return call, x.requires_grad_(True)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient(torch, name):
    """Against differences; explicit gradients are differentiated as well."""
    call, x = differentiable(torch, name)
    assert torch.autograd.gradcheck(call, (x,))


@pytest.mark.parametrize("name", [name for name in SMOOTH if "return_grad" not in name or "reduction=sum" in name])
def test_second_derivative(torch, name):
    call, x = differentiable(torch, name)
    assert torch.autograd.gradgradcheck(lambda x: call(x)[0], (x,))


LOSSES = {
    "cross_entropy": lambda x, y, t, **o: stablesoft.softmax_cross_entropy(x, y, z_loss=0.01, label_smoothing=0.1, **o),
    "focal": lambda x, y, t, **o: stablesoft.softmax_focal_loss(x, y, gamma=1.5, **o),
    "sigmoid": lambda x, y, t, **o: stablesoft.sigmoid_cross_entropy(x, t, pos_weight=3.0, **o),
    "sigmoid_focal": lambda x, y, t, **o: stablesoft.sigmoid_focal_loss(x, t, alpha=0.25, gamma=1.5, **o),
    "caffe": lambda x, y, t, **o: caffe.softmax_with_loss(x, y, ignore_label=2, **o),
    "caffe_sigmoid": lambda x, y, t, **o: caffe.sigmoid_cross_entropy_loss(x, t, ignore_label=1, **o),
    "arcface": lambda x, y, t, **o: margin.arcface(x, t, y, scale=4.0, **o),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("differentiator", ["torch", "jax"])
def test_gradient_is_the_explicit_one(differentiator, name, request):
    """What `return_grad` gives and what differentiation of the loss gives."""
    module, random = request.getfixturevalue(differentiator), np.random.default_rng(3)
    arrays = random.normal(0, 2, (6, 5)), random.integers(0, 5, 6), random.uniform(size=(6, 5))
    loss = LOSSES[name]
    if differentiator == "torch":
        x, labels, targets = map(module.asarray, arrays)
        (got,) = module.autograd.grad(loss(x.requires_grad_(True), labels, targets), x)
        explicit = loss(x, labels, targets, return_grad=True)[1].detach()
    else:
        x, labels, targets = map(module.numpy.asarray, arrays)
        got = module.jit(module.grad(loss))(x, labels, targets)
        explicit = loss(x, labels, targets, return_grad=True)[1]
    np.testing.assert_allclose(np.asarray(got), np.asarray(explicit), rtol=1e-12, atol=1e-14)


def test_gradient_of_a_confident_row(torch):
    """Differentiation keeps the digits that p - 1 loses."""
    x = torch.tensor([[0.0, -50.0, -60.0]], dtype=torch.float64, requires_grad=True)
    right = -math.exp(-50) - math.exp(-60)
    for loss in (
        stablesoft.softmax_cross_entropy(x, torch.tensor([0])),
        -stablesoft.log_softmax(x, axis=1)[0, 0],
        -stablesoft.softmax(x, axis=1)[0, 0],
        stablesoft.logsumexp(x[:, 1:] - x[:, :1]).exp(),
    ):
        (grad,) = torch.autograd.grad(loss, x)
        assert math.isclose(float(grad[0, 0]), right, rel_tol=1e-14)


# e^x at the peak cancels in the last row with these weights.
TIED = [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, -1.0], [2.0, 2.0, 2.0, -3.0], [0.0, 3.0, 3.0, 1.0]]


def hessian_of_logsumexp(x, b):
    """diag(p) - p p', p the signed shares."""
    p = b * np.exp(x) / np.sum(b * np.exp(x))
    return np.diag(p) - np.outer(p, p)


@pytest.mark.parametrize("row", TIED)
@pytest.mark.parametrize("b", [None, [1.0, -1.0, 1.0, 0.5], [1.0, 2.0, 3.0, 4.0]], ids=["plain", "signs", "weights"])
def test_hessian_where_peaks_tie(torch, row, b):
    x = torch.tensor(row, dtype=torch.float64)
    weights = None if b is None else torch.tensor(b, dtype=torch.float64)
    function = lambda x: stablesoft.logsumexp(x, b=weights, return_sign=True)[0]  # noqa: E731
    got = torch.autograd.functional.hessian(function, x)
    expected = hessian_of_logsumexp(np.array(row), np.ones(4) if b is None else np.array(b))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-13 * np.max(np.abs(expected)))


@pytest.mark.parametrize("row", TIED)
def test_second_derivatives_where_peaks_tie(torch, row):
    """Of the others through that of logsumexp, with which they must agree."""
    x = torch.tensor(row, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian
    curved = torch.as_tensor(hessian_of_logsumexp(np.array(row), np.ones(4)))
    for function, factor in (
        (lambda x: stablesoft.log_softmax(x)[1], -1),
        (lambda x: stablesoft.logmeanexp(x), 1),
        (lambda x: stablesoft.logcumsumexp(x)[-1], 1),
        (lambda x: stablesoft.softmax_cross_entropy(x, torch.tensor(2)), 1),
        (lambda x: stablesoft.softmax_focal_loss(x, torch.tensor(2), gamma=0.0), 1),
        (lambda x: caffe.softmax_with_loss(x[None, :], torch.tensor([1])), 1),
    ):
        torch.testing.assert_close(hessian(function, x), factor * curved, rtol=1e-12, atol=1e-14)
    jacobian = torch.autograd.functional.jacobian(lambda x: stablesoft.softmax(x), x)
    torch.testing.assert_close(jacobian, curved, rtol=1e-12, atol=1e-14)


FINITE = {
    **{
        name: lambda x, where, name=name: getattr(stablesoft, name)(x, axis=1, where=where)
        for name in ("softmax", "log_softmax", "logsumexp", "logmeanexp")
    },
    "floor": lambda x, where: stablesoft.softmax(x, axis=1, floor=1e-3),
    "weights": lambda x, where: stablesoft.logsumexp(x, axis=1, b=[1.0, -2.0, 0.0, 1.0], return_sign=True)[0],
    "logcumsumexp": lambda x, where: stablesoft.logcumsumexp(x, axis=1),
    "expit": lambda x, where: stablesoft.expit(x),
    "log_expit": lambda x, where: stablesoft.log_expit(x),
    "softplus": lambda x, where: stablesoft.softplus(x),
    "logit": lambda x, where: stablesoft.logit(x),
    "log1mexp": lambda x, where: stablesoft.log1mexp(x),
    "logaddexp": lambda x, where: stablesoft.logaddexp(x, x * 0.0),
    "cross_entropy": lambda x, where: stablesoft.softmax_cross_entropy(x, (where * 1).argmax(1), reduction="none"),
    "nothing": lambda x, where: stablesoft.softmax_cross_entropy(x, where * 0.0, z_loss=0.1, reduction="none"),
    "focal": lambda x, where: stablesoft.softmax_focal_loss(x, (where * 1).argmax(1), gamma=0.5, reduction="none"),
    "sigmoid": lambda x, where: stablesoft.sigmoid_cross_entropy(x, (x > 0) * 1.0, reduction="none"),
    "sigmoid_focal": lambda x, where: stablesoft.sigmoid_focal_loss(x, (x < 0) * 1.0, gamma=0.5, reduction="none"),
    "caffe": lambda x, where: caffe.softmax_with_loss(x, (where * 1).argmax(1), ignore_label=3),
    "caffe_sigmoid": lambda x, where: caffe.sigmoid_cross_entropy_loss(x, (x > 0) * 1.0, ignore_label=0),
}  # fmt: skip


def with_logaddexp_of_zeros(name, x):
    # inf * 0.0 is NaN; the second argument is 0 everywhere
    return np.where(np.isfinite(x), x, 1.0) if name == "logaddexp" else x


@pytest.mark.parametrize("row", [row for row in HARD_ROWS if not math.isnan(row[0])], ids=str)
@pytest.mark.parametrize("name", FINITE)
def test_finite_gradients(torch, jax, name, row):
    """Of what is finite in the result, with respect to masked, infinite and huge elements; no NaN from 0 * inf."""
    x = with_logaddexp_of_zeros(name, np.array([row]))
    where = np.isfinite(x)
    logits = torch.asarray(x.copy()).requires_grad_(True)
    y = FINITE[name](logits, torch.asarray(where))
    (grad,) = torch.autograd.grad(y[torch.isfinite(y)].sum(), logits, create_graph=True)
    assert bool(torch.all(torch.isfinite(grad))), grad
    if grad.requires_grad:
        (second,) = torch.autograd.grad(grad.sum(), logits, allow_unused=True)
        assert second is None or bool(torch.all(torch.isfinite(second))), second

    def total(x):
        y = FINITE[name](x, jax.numpy.asarray(where))
        return jax.numpy.sum(jax.numpy.where(jax.numpy.isfinite(y), y, 0.0))

    other = np.asarray(jax.grad(total)(jax.numpy.asarray(x)))
    np.testing.assert_allclose(other, grad.detach().numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("vectors", ["parallel", "opposite", "orthogonal"])
@pytest.mark.parametrize("name", [name for name in margin.__all__ if name.endswith(("softmax", "face", "margin"))])
def test_margin_gradients_at_extreme_angles(torch, jax, name, vectors):
    """At 0 and pi, where arccos has no derivative, differentiation finds what `return_grad` says."""
    function = getattr(margin, name)
    weight = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]])
    x = {"parallel": 2 * weight, "opposite": -0.5 * weight, "orthogonal": weight[::-1].copy()}[vectors]
    for kind in ("float32", "float64"):
        vectors = [torch.asarray(v.astype(kind)).requires_grad_(True) for v in (x, weight)]
        labels = torch.tensor([0, 1])
        explicit = function(*vectors, labels, return_grad=True)[1:]
        eps = float(np.finfo(kind).eps)
        for got, right in zip(torch.autograd.grad(function(*vectors, labels), vectors), explicit, strict=True):
            assert bool(torch.all(torch.isfinite(got)))
            torch.testing.assert_close(got, right.detach(), rtol=1e3 * eps, atol=1e3 * eps)
        own = [jax.numpy.asarray(v.astype(kind)) for v in (x, weight)]
        for got, right in zip(
            jax.grad(function, argnums=(0, 1))(*own, jax.numpy.asarray([0, 1])), explicit, strict=True
        ):
            np.testing.assert_allclose(got, right.detach().numpy(), rtol=1e3 * eps, atol=1e3 * eps)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "logmeanexp", "logcumsumexp"])
def test_vmap(torch, jax, name):
    """Mapped over rows, by JAX and torch, the function of one row is that of all rows."""
    x, function = np.random.default_rng(4).normal(size=(5, 7)), getattr(stablesoft, name)
    expected = function(x, axis=1)
    np.testing.assert_allclose(np.asarray(jax.vmap(function)(jax.numpy.asarray(x))), expected, rtol=1e-14)
    np.testing.assert_allclose(torch.vmap(function)(torch.asarray(x)).numpy(), expected, rtol=1e-14)


def test_gradient_of_each_row(torch, jax):
    """The gradients of the losses of single rows, in one call: labels are mapped, too."""
    random = np.random.default_rng(4)
    x, labels = random.normal(size=(5, 7)), random.integers(0, 7, 5)
    expected = stablesoft.softmax_cross_entropy(x, labels, reduction="none", return_grad=True)[1]
    single = stablesoft.softmax_cross_entropy
    got = jax.jit(jax.vmap(jax.grad(single)))(jax.numpy.asarray(x), jax.numpy.asarray(labels))
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-13)
    got = torch.vmap(torch.func.grad(single))(torch.asarray(x), torch.asarray(labels))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13)


def test_jax_without_float64(jax):
    """Its integers count as the widest type that it gives, without a warning."""
    with jax.enable_x64(False):
        x = jax.numpy.asarray([1, 2, 3])
        for function in (stablesoft.softmax, stablesoft.logsumexp, stablesoft.logcumsumexp, stablesoft.softplus):
            assert function(x).dtype == jax.numpy.float32
        assert stablesoft.softmax_cross_entropy(x[None, :] * 1.0, [1], return_grad=True)[1].dtype == jax.numpy.float32


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_gradients_of_half_precision(torch, kind):
    """They come back in the type of the input, from float32 arithmetic."""
    x = torch.randn((3, 5), generator=torch.Generator().manual_seed(1)).to(getattr(torch, kind)).requires_grad_(True)
    for function in (
        lambda x: stablesoft.logsumexp(x, axis=1).sum(),
        lambda x: stablesoft.softmax_cross_entropy(x, torch.tensor([0, 4, 2])),
    ):
        (got,) = torch.autograd.grad(function(x), x)
        wide = x.detach().float().requires_grad_(True)
        (expected,) = torch.autograd.grad(function(wide), wide)
        assert got.dtype == x.dtype
        torch.testing.assert_close(got, expected.to(x.dtype), rtol=1e-2, atol=1e-4)


def test_library_is_complete():
    """All are installed where this file runs: what is missing is a failure."""
    for library in Library:
        library.load()
    importlib.import_module("cupy")
