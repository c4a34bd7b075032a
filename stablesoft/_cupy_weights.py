"""logsumexp of CuPy arrays with weights or a sign, and logmeanexp with `where`: NumPy's bits."""

import math

import cupy

from . import _cuda_options, _cupy, _cupy_options


def answer(x, axis, b, keepdims, return_sign, out, *, where=None):
    """What logsumexp returns, or None for the definition to compute it; the arguments as in _cupy.answer."""
    if b is None:
        value = _cupy.answer("logsumexp", x, axis, None, keepdims, False, out=out, where=where)
        return None if value is None else (value, _sign_of(value))
    if not _cupy_options.fits(b, x, x.dtype.char):
        return None
    if where is not None and not _cupy_options.fits(where, x, "?"):
        return None
    return reduce("logsumexp", x, axis, keepdims, out, b, where, return_sign)


def _sign_of(value):
    """Of a sum of exponentials, by its logarithm."""
    with _cupy.device_of(value):
        return cupy.where(cupy.isnan(value), value, cupy.greater(value, -math.inf))


def reduce(operation, x, axis, keepdims, out, b, where, return_sign=False):
    """logsumexp with weights, or logmeanexp with a mask, as by `answer`; `b` and `where` are known to fit."""
    axes = _cupy._axes(axis, x.ndim)
    if not axes:
        return None
    shape = _cupy._reduced(x.shape, axes, keepdims)
    if out is not None:
        _cupy._check_out(out, x, shape)
    with _cupy.device_of(x):
        return _run(operation, x, axes, shape, keepdims, out, b, where, return_sign)


def _run(operation, x, axes, shape, keepdims, out, b, where, return_sign):
    # the second launch reads the arrays once more, when results have been written
    shared = out is not None and any(one is not None and _cupy.may_share_memory(one, out) for one in (x, b, where))
    y = cupy.empty(shape, x.dtype) if out is None or shared else out
    sign = cupy.empty(shape, x.dtype) if return_sign else None
    b, where = (one if one is None or one.shape == x.shape else cupy.broadcast_to(one, x.shape) for one in (b, where))
    steps = [None if one is None else one.strides for one in (b, where)]
    key = ("taken", operation, x.dtype.char, x.shape, x.strides, axes, keepdims, y.strides, *steps, x.data.device_id)
    call = _cupy._plans.get(key) or _cupy.remember(
        key, _cuda_options.plan_taken(b is not None, _cupy._DTYPES[x.dtype.char], x.shape, axes, x.strides,
                                      _cupy._steps(operation, x, axes, keepdims, y), *steps)
    )  # fmt: skip
    if call is None:
        return None
    scratch = _cupy.scratch_of(call)
    _cupy.launch(call, tuple(map(_cupy.pointer_to, (x, y, b, where, sign, scratch))))
    if shared:
        cupy.copyto(out, y)
        y = out
    return (y, sign) if return_sign else y
