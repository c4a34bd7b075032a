"""logcumsumexp of CuPy arrays: NumPy's bits."""

import cupy

from . import _cuda_options, _cupy


def answer(x, axis, *, reverse=False, exclusive=False, out=None):
    """What logcumsumexp returns, or None for the definition to compute it, which makes one axis of all for None."""
    if x.dtype.char not in _cupy._DTYPES or x.size == 0 or type(axis) is not int or not -x.ndim <= axis < x.ndim:
        return None
    if type(reverse) is not bool or type(exclusive) is not bool:
        return None
    if out is not None:
        _cupy._check_out(out, x, x.shape)
    with _cupy.device_of(x):
        return _run(x, axis % x.ndim, reverse, exclusive, out)


def _run(x, axis, reverse, exclusive, out):
    shared = out is not None and _cupy.may_share_memory(x, out)
    y = _cupy.empty_like(x) if out is None or shared else out
    key = ("logcumsumexp", x.dtype.char, x.shape, x.strides, axis, reverse, exclusive, y.strides, x.data.device_id)
    call = _cupy._plans.get(key)
    if call is None:
        turned = [-1 if reverse and i == axis else 1 for i in range(x.ndim)]
        steps = [tuple(step * sign for step, sign in zip(one.strides, turned)) for one in (x, y)]
        plan = _cuda_options.plan_cumulative(_cupy._DTYPES[x.dtype.char], x.shape, axis, *steps, exclusive)
        call = _cupy.remember(key, plan)
    if call is None:
        return None
    last = x.shape[axis] - 1 if reverse else 0  # where the row begins
    _cupy.launch(call, (*(one.data.ptr + last * one.strides[axis] for one in (x, y)), 0))
    if shared:
        cupy.copyto(out, y)
        y = out
    return y
