"""The arguments of the losses in normal form, and one clear error for each thing that is wrong with them.

Labels are checked where their values can be seen without waiting for anything: NumPy and the eager libraries on the
CPU. A lazy library or a GPU gets NaN for a label out of range.
"""

import functools
import math
import operator

import numpy as np
from array_api_compat import is_cupy_namespace, is_numpy_namespace

from ._arrays import as_array, cast, convert, dtype_name
from ._libraries import answers, namespace

REDUCTIONS = ("mean", "sum", "none")
COMPILED = (np.dtype("float32"), np.dtype("float64"))  # what the kernels take


@functools.cache
def is_kind(xp, dtype, kind):
    """What `isdtype` of the library says, which takes its time."""
    return xp.isdtype(dtype, kind)


def are_halves(*arrays):
    """Whether all are CuPy's of float16, which its kernels read and write as they compute in float32."""
    return all(str(getattr(x, "dtype", "")) == "float16" and is_cupy_namespace(namespace(x)) for x in arrays)


def as_logits(x, name="logits", halves=False):
    """x as a real array, its library, and the dtype of the result; `halves`: what are_halves says of x."""
    if halves or (type(x) is np.ndarray and x.dtype in COMPILED):  # as it is
        return namespace(x), x, x.dtype
    xp, arrays, dtype = convert({name: x})
    if is_kind(xp, arrays[name].dtype, "complex floating"):
        raise TypeError(f"{name} must be real, not {dtype_name(arrays[name].dtype)}")
    return xp, arrays[name], dtype


def as_axis(axis, ndim):
    """`axis` as one integer in [0, ndim)."""
    try:
        place = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, not {axis!r}") from None
    if not -ndim <= place < ndim:
        raise np.exceptions.AxisError(place, ndim, "axis")
    return place % ndim


def as_reduction(reduction):
    """The name of a reduction, as it is."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, not {reduction!r}")
    return reduction


def as_number(value, name, low, high=math.inf):
    """A finite Python float in [low, high]."""
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", 0) != 0:
        raise TypeError(f"{name} must be one real number, not {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be one real number, not {value!r}") from None
    if not low <= number <= high or math.isinf(number):
        least = f" and at least {low:g}" if low > -math.inf else ""
        bounds = f"in [{low:g}, {high:g}]" if high < math.inf else f"finite{least}"
        raise ValueError(f"{name} must be {bounds}, not {value!r}")
    return number


def as_flag(value, name):
    """A Python bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def as_ignored(ignore_index, name="ignore_index"):
    """None or a Python int; True is none, which somebody may mean as "do ignore"."""
    if ignore_index is None:
        return None
    try:
        if not isinstance(ignore_index, (bool, np.bool_)):
            return operator.index(ignore_index)
    except TypeError:
        pass
    raise TypeError(f"{name} must be None or an integer, not {ignore_index!r}")


def as_class_weight(xp, weight, x, classes, name="weight", scalar=False):
    """One weight for each class in the dtype of x, or None; `scalar`: one number may stand for all."""
    if weight is None:
        return None
    refuse_masked(weight, name)
    if scalar and np.ndim(weight) == 0:
        weight = [as_number(weight, name, 0.0)] * classes
    array = as_array(xp, weight, name, x)
    if tuple(array.shape) != (classes,):
        raise ValueError(f"{name} must have one number for each of {classes} classes, not shape {tuple(array.shape)}")
    if is_kind(xp, array.dtype, ("bool", "complex floating")):
        raise TypeError(f"{name} must be real numbers, not {dtype_name(array.dtype)}")
    return _in_dtype(xp, array, x.dtype)


def as_targets(xp, labels, x, axis, name="labels"):
    """(labels, None) for integers in the shape of x without `axis`, (None, t) for probabilities in the shape of x."""
    array = as_array(xp, labels, name, x)
    kept = tuple(n for i, n in enumerate(x.shape) if i != axis)
    if tuple(array.shape) == tuple(x.shape):
        return None, as_real(xp, array, x, name)
    if not is_kind(xp, array.dtype, "integral"):
        if 0 not in array.shape or not isinstance(labels, (list, tuple)):
            raise TypeError(
                f"{name} must be integers of shape {kept}, or probabilities of shape {tuple(x.shape)},"
                f" not {dtype_name(array.dtype)} of shape {tuple(array.shape)}"
            )
        array = xp.astype(array, xp.int64)  # an empty list has no integers in it, and no others either
    if tuple(array.shape) != kept:
        raise ValueError(f"{name} must have shape {kept} (the logits' without axis {axis}), not {tuple(array.shape)}")
    return array, None


def check_labels(xp, labels, classes, ignored, name="labels", given=None, counts=None):
    """Raise for the first label outside [0, classes) that is not the ignored one, where the values can be seen.

    The error speaks of them as they were given, which may be in another shape and with fractions. Only those that
    count are looked at.
    """
    bad = (labels < 0) | (labels >= classes)
    bad = bad if counts is None else bad & counts
    if ignored is not None:
        bad = bad & (labels != ignored) if holds(xp, labels.dtype, ignored) else bad
    if not answers(xp.any(bad)):
        return
    given = labels if given is None else given
    first = int(xp.argmax(xp.astype(xp.reshape(bad, (-1,)), xp.int32)))
    position = tuple(int(i) for i in np.unravel_index(first, tuple(given.shape)))
    place = f"{name}[{', '.join(map(str, position))}]" if position else name
    value = int(given[position]) if is_kind(xp, given.dtype, "integral") else float(given[position])
    raise ValueError(f"{place} is {value}, which is not one of the {classes} classes 0 ... {classes - 1}")


def holds(xp, dtype, value):
    """Whether an integer dtype has this value."""
    info = xp.iinfo(dtype)
    return info.min <= value <= info.max


def refuse_masked(value, name, hint="fill it, and mask the logits where nothing is to count"):
    """Raise for a masked array where a mask has no meaning."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: {hint}")


def as_real(xp, value, x, name):
    """A real array of x's dtype, in its own shape."""
    array = as_array(xp, value, name, x)
    if is_kind(xp, array.dtype, "complex floating"):
        raise TypeError(f"{name} must be real, not {dtype_name(array.dtype)}")
    return _in_dtype(xp, array, x.dtype)


def _in_dtype(xp, array, dtype):
    if array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):
        return xp.astype(array, dtype)


def as_elements(xp, value, x, name):
    """A real array of x's dtype, broadcast to x's shape; None stays None."""
    if value is None:
        return None
    refuse_masked(value, name)
    array = as_real(xp, value, x, name)
    if tuple(array.shape) == tuple(x.shape):
        return array
    try:
        shape = np.broadcast_shapes(tuple(array.shape), tuple(x.shape))
    except ValueError:
        shape = None
    if shape != tuple(x.shape):
        raise ValueError(f"{name} of shape {tuple(array.shape)} does not broadcast to the logits' {tuple(x.shape)}")
    return xp.broadcast_to(array, x.shape)


def compiled(xp, x):
    """True where the kernels take the logits."""
    return is_numpy_namespace(xp) and x.dtype in COMPILED


def kernel_labels(labels, ignored):
    """Labels and the ignored one as the kernels want them: contiguous int64, and an int64 or None."""
    if labels is None:
        return None, None
    if ignored is not None and not holds(np, labels.dtype, ignored):
        ignored = None
    if labels.dtype == np.uint64:  # whatever is beyond int64 is no class, but may be ignored
        wide, most = labels, np.iinfo(np.int64).max
        labels = np.minimum(labels, most).astype(np.int64)
        if ignored is not None:
            labels, ignored = np.where(wide == ignored, -1, labels), -1
    return np.ascontiguousarray(labels, dtype=np.int64).reshape(labels.shape), ignored


def cast_back(xp, result, dtype):
    """Loss, or loss and gradient, in the dtype that the user's logits ask for."""
    if isinstance(result, tuple):
        return tuple([cast_back(xp, one, dtype) for one in result])
    return cast(xp, result, dtype)

