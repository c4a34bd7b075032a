"""Who computes: the compiled door where it takes the call, the definition where it does not.

A public function is its definition, complete by itself. `accelerated` puts a compiled door of the same name before it.
The door hands back what it does not take; `_complete` then brings the arguments into their one normal form (arrays of
one library, a tuple of axes, Python floats). What has become a NumPy float32 or float64 array on the way is offered
to the door once more, so that lists, integers, float16 and masked arrays get the kernels' arithmetic; the rest is the
definition's.
"""

import functools
import inspect

import numpy as np
from array_api_compat import is_numpy_namespace

from . import _native
from ._arrays import (
    as_axes,
    as_floor,
    as_mask,
    as_temperature,
    cast,
    convert,
    dtype_name,
    is_complex,
    kernels_of,
    write,
)


def accelerated(definition):
    """Put the compiled door of the same name before a definition.

    Parameters
    ----------
    definition : function
        A public function whose body takes arguments in normal form and leaves `out` to this module.

    Returns
    -------
    function
        The door, with the definition's name, docstring and signature.
    """
    return _accelerated(definition, _complete)


def _accelerated(definition, complete):
    door = getattr(_native, definition.__name__)
    signature = inspect.signature(definition)

    def answer(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return complete(door, definition, bound.arguments)

    return behind_door(functools.update_wrapper(answer, definition))


def behind_door(complete):
    """Put the compiled door of the same name, and the kernels of other libraries, before a function.

    Parameters
    ----------
    complete : function
        A public function that answers every call; its first argument is an array.

    Returns
    -------
    function
        The door, with the function's name, docstring and signature.
    """
    name = complete.__name__
    door = getattr(_native, name)

    def hand_back(*args, **kwargs):
        kernels = kernels_of(type(args[0]))
        result = None if kernels is None else kernels.answer(name, *args, **kwargs)
        return complete(*args, **kwargs) if result is None else result

    _native.register(name, hand_back)
    return functools.update_wrapper(door, complete)


def accelerated_along(definition):
    """Put the compiled door of the same name before a definition that goes along one axis.

    Parameters
    ----------
    definition : function
        As for `accelerated`, but `axis` is one integer in [0, ndim).

    Returns
    -------
    function
        The door, with the definition's name, docstring and signature.
    """
    return _accelerated(definition, _complete_along)


def _complete(door, definition, given):
    """Answer one call that the door handed back."""
    first = next(iter(given))  # "a" or "x"
    names = [first, "b"] if given.get("b") is not None else [first]
    if any(isinstance(given[name], np.ma.MaskedArray) for name in names):
        return _complete_masked(door, given, names)

    xp, arrays, dtype = convert({name: given[name] for name in names})
    x = arrays[first]
    call = {**given, **arrays, "axis": as_axes(given["axis"], x.ndim), "where": as_mask(xp, given["where"], x)}
    if "temperature" in call:
        call["temperature"] = as_temperature(call["temperature"])
    if "floor" in call:
        call["floor"] = as_floor(call["floor"])

    if not call["axis"]:
        return _complete_single(xp, door, given, call, [*names, "where"], dtype)

    casts = dtype != x.dtype
    if casts:
        call["out"] = None
    takes = is_numpy_namespace(xp) and dtype_name(x.dtype) in ("float32", "float64")
    if takes and _changed(given, call):
        result = door(**call)
    else:
        call["out"] = None
        result = _offer(definition.__name__, call[first], call)
        if result is None:
            with np.errstate(all="ignore"):  # infinities, NaN and underflow are answers here, not accidents
                result = definition(**call)
    return _finish(xp, result, dtype if casts else None, given["out"], call["out"])


def _offer(name, x, call):
    """The result of a library's own kernels for a call in normal form; None where they do not take it."""
    kernels = kernels_of(type(x))
    if kernels is None:
        return None
    positional = [call[name] for name in ("b", "keepdims", "return_sign") if name in call]
    names = ("temperature", "floor", "where", "reverse", "exclusive")
    options = {name: call[name] for name in names if name in call}
    return kernels.answer(name, x, call["axis"], *positional, **options)


def _changed(given, call):
    """True where normal form differs from what was given: the door has not seen this call yet."""
    axis = given["axis"]
    plain_axis = axis is None or type(axis) is int or (type(axis) is tuple and all(type(i) is int for i in axis))
    return not plain_axis or any(call[name] is not value for name, value in given.items() if name != "axis")


def _complete_single(xp, door, given, call, names, dtype):
    """Reduce over no axis (a scalar, or axis=()): every element is a row of its own."""
    for name in names:
        if call[name] is not None:
            call[name] = xp.expand_dims(call[name], axis=-1)
    reduces = "keepdims" in call
    result = door(**{**call, "axis": -1, "out": None, **({"keepdims": False} if reduces else {})})
    if not reduces:
        result = xp.squeeze(result, axis=-1)
    return _finish(xp, result, dtype, given["out"], None)


def _complete_along(door, definition, given):
    """Answer one call of a function that goes along one axis, or along all elements."""
    first = next(iter(given))
    x = given[first]
    for name in ("reverse", "exclusive"):
        if not isinstance(given[name], (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, not {given[name]!r}")
    if isinstance(given["axis"], tuple):
        raise TypeError(f"axis must be None or an integer, not {given['axis']!r}")
    if isinstance(x, np.ma.MaskedArray):
        result = door(**{**given, first: np.where(np.ma.getmaskarray(x), -np.inf, x.data), "out": None})
        return _masked(result, np.ma.getmaskarray(x).reshape(result.shape), given["out"])

    xp, arrays, dtype = convert({first: x})
    x = arrays[first]
    if is_complex(xp, x.dtype):
        raise TypeError(f"{first} must be real: {definition.__name__} is not defined for complex numbers")
    axes = as_axes(given["axis"], x.ndim)
    shape = (-1,) if given["axis"] is None else x.shape
    if given["axis"] is None or x.ndim == 0:
        x, axes = xp.reshape(x, (-1,)), (0,)
    call = {**given, first: x, "axis": axes[0], "out": None}
    call.update({name: bool(given[name]) for name in ("reverse", "exclusive")})
    if is_numpy_namespace(xp) and dtype_name(x.dtype) in ("float32", "float64"):
        result = door(**call)
    else:
        result = _offer(definition.__name__, x, call)
        if result is None:
            with np.errstate(all="ignore"):
                result = definition(**call)
    return _finish(xp, result if result.shape == shape else xp.reshape(result, shape), dtype, given["out"], None)


def _finish(xp, result, dtype, out, written):
    """Cast back, fill `out`, and make a NumPy scalar of a 0-d array; `written` is the `out` that a door has filled."""
    if isinstance(result, tuple):
        value, *others = result
        others = [_finish(xp, other, dtype, None, None) for other in others]
        return (_finish(xp, value, dtype, out, written), *others)
    if out is not None and written is out:
        return result
    result = cast(xp, result, dtype)
    return result if out is None else write(out, result)


def _complete_masked(door, given, names):
    """Let masked elements not take part, and mask the elements of the result that nothing stands behind."""
    masked = [given[name] for name in names if isinstance(given[name], np.ma.MaskedArray)]
    mask = functools.reduce(np.logical_or, [np.ma.getmaskarray(array) for array in masked])
    call = dict(given)
    for name in names:
        if isinstance(call[name], np.ma.MaskedArray):
            call[name] = call[name].data
    shape = np.broadcast_shapes(*(np.shape(call[name]) for name in names))
    mask = np.broadcast_to(mask, shape)
    where = as_mask(np, call["where"], mask)
    call["where"] = ~mask if where is None else ~mask & where
    call["out"] = None
    result = door(**call)
    if "keepdims" in call:
        mask = np.all(mask, axis=as_axes(call["axis"], mask.ndim), keepdims=call["keepdims"])
    if isinstance(result, tuple):
        value, *others = result
        return (_masked(value, mask, given["out"]), *(_masked(other, mask, None) for other in others))
    return _masked(result, mask, given["out"])


def _masked(result, mask, out):
    result = np.ma.MaskedArray(result, mask=mask)
    return result[()] if out is None else write(out, result)
