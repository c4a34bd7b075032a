"""From a user's call of a margin loss to the arithmetic and back: checks, choice of numbers, reduction, dtype."""

import math
import operator

import numpy as np
from array_api_compat import is_numpy_namespace

from ._arrays import _as_number, as_array, cast, dtype_name, is_complex, promote, quiet
from ._lent import over_views
from ._libraries import answers
from ._loss_arguments import as_flag, as_reduction, check_labels, refuse_masked
from ._margin_numbers import Plain, at_labels
from ._margin_pairs import Paired
from ._margin_refined import refined

GRADIENTS = ("true", "detached")
BEYOND = ("sub", "wrap", "clamp", "easy")


def arithmetic(xp, dtype):
    """What arrays of this library and dtype are computed in."""
    name = dtype_name(dtype) if is_numpy_namespace(xp) else ""
    if name in ("float32", "float64"):
        return Paired(name)
    return Plain(xp, float(xp.finfo(dtype).eps))


def as_choice(value, name, choices):
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return value


def as_multiplier(m):
    """`m` as an integer of at least 1."""
    try:
        value = operator.index(m)
    except TypeError:
        raise TypeError(f"m must be an integer, not {m!r}") from None
    if value < 1:
        raise ValueError(f"m must be at least 1, not {m!r}")
    return value


def as_real(value, name, low=-math.inf, high=math.inf, hint=""):
    """A finite Python float in [low, high]."""
    number = _as_number(value, name)
    if not (math.isfinite(number) and low <= number <= high):
        limits = "" if math.isinf(low) else f", at least {low:g}" if math.isinf(high) else f" in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must be finite{limits}, not {value!r}{hint}")
    return number


def as_angle(value, name):
    """An angle in radians, in [0, pi]."""
    return as_real(value, name, 0.0, math.pi, " (it is an angle in radians)")


def as_positive(value, name):
    number = as_real(value, name, 0.0)
    if number == 0.0:
        raise ValueError(f"{name} must be positive, not {value!r}")
    return number


def _first(xp, condition):
    """Position of the first True, or None."""
    if not answers(xp.any(condition)):
        return None
    return int(xp.argmax(xp.astype(condition, xp.int32)))


def _as_vectors(xp, array, name, shape):
    if is_complex(xp, array.dtype):
        raise TypeError(f"{name} must be real, not {dtype_name(array.dtype)}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape {shape}, not {tuple(array.shape)}")
    if is_numpy_namespace(xp):
        # One layout, so that the order of no addition depends on the caller's.
        return np.ascontiguousarray(array, dtype=np.float64 if array.dtype == np.float32 else None)
    return array


def _refuse_zero_rows(xp, array, name):
    row = _first(xp, xp.all(array == 0, axis=1))
    if row is not None:
        raise ValueError(f"{name}[{row}] is a zero vector, which has no direction")


def _as_labels(xp, labels, x, classes):
    n = x.shape[0]
    labels = as_array(xp, labels, "labels", x)
    if tuple(labels.shape) != (n,):
        raise ValueError(f"labels must have shape {(n,)}, one for each row of x, not {tuple(labels.shape)}")
    if n and not xp.isdtype(labels.dtype, "integral"):
        raise TypeError(f"labels must be integers, not {dtype_name(labels.dtype)}")
    if n:
        check_labels(xp, labels, classes, None)
    if is_numpy_namespace(xp):
        return np.ascontiguousarray(labels, dtype=np.int64)
    # Narrower or unsigned types could not count the classes.
    return labels if dtype_name(labels.dtype) in ("int32", "int64") else xp.astype(labels, xp.int32)


@over_views(promoted=1)
def margin_loss(x, weight, labels, margin, lengths, reduction, return_grad, gradient):
    """What all margin losses share.

    Parameters
    ----------
    x, weight, labels : array_like
        As the user gave them.
    margin : callable
        See `_margin_core.evaluate`.
    lengths : tuple
        What the vectors of x and of weight are normalised to, None where they are not.
    reduction, return_grad, gradient
        As the user gave them.

    Returns
    -------
    loss, or (loss, grad_x, grad_weight)
    """
    as_reduction(reduction)
    as_choice(gradient, "gradient", GRADIENTS)
    return_grad = as_flag(return_grad, "return_grad")
    for name, value in (("x", x), ("weight", weight), ("labels", labels)):
        refuse_masked(value, name, "leave out the rows that are not to count")
    xp, arrays, dtype = promote({"x": x, "weight": weight})
    ar = arithmetic(xp, arrays["x"].dtype)
    x = _as_vectors(xp, arrays["x"], "x", "(N, K)")
    weight = _as_vectors(xp, arrays["weight"], "weight", "(C, K)")
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x {tuple(x.shape)} and weight {tuple(weight.shape)} must have rows of the same length")
    if weight.shape[0] == 0:
        raise ValueError("weight must have at least one row, one for each class")
    labels = _as_labels(xp, labels, x, weight.shape[0])
    _refuse_zero_rows(xp, x, "x")
    _refuse_zero_rows(xp, weight, "weight")

    if x.shape[0] == 0:
        items, grad_x, grad_weight = xp.sum(x, axis=1), xp.zeros_like(x), xp.zeros_like(weight)
    else:
        with np.errstate(all="ignore"):  # underflow and overflow are answers here, not accidents
            items, grad_x, grad_weight = refined(
                ar, x, weight, labels, margin, lengths, gradient == "detached", return_grad
            )
    if not is_numpy_namespace(xp):  # where the check above saw nothing
        items = xp.where(xp.any(at_labels(xp, labels, weight.shape[0]), axis=1), items, math.nan)

    divisor = max(1, x.shape[0]) if reduction == "mean" else 1
    with np.errstate(all="ignore"):
        loss = items if reduction == "none" else ar.total(quiet(xp, items), divisor)
        loss = cast(xp, loss, dtype)
        if not return_grad:
            return loss
        if isinstance(ar, Paired):
            grad_x /= divisor
            grad_weight /= divisor
        else:
            grad_x, grad_weight = grad_x / divisor, grad_weight / divisor
    return loss, cast(xp, grad_x, dtype), cast(xp, grad_weight, dtype)


@over_views()
def elementwise(array, name, function):
    """function(arithmetic, number) of each element, in the array's dtype."""
    refuse_masked(array, name, "fill it")
    xp, arrays, dtype = promote({name: array})
    array = arrays[name]
    if is_complex(xp, array.dtype):
        raise TypeError(f"{name} must be real, not {dtype_name(array.dtype)}")
    ar = arithmetic(xp, array.dtype)
    if is_numpy_namespace(xp) and array.dtype == np.float32:
        array = array.astype(np.float64)
    shape = array.shape
    if isinstance(ar, Paired):
        array = np.reshape(array, -1)
    with np.errstate(all="ignore"):
        return cast(xp, xp.reshape(ar.value(function(ar, ar.number(array))), shape), dtype)
