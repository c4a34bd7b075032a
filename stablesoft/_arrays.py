"""What goes in and what comes out: libraries, dtypes, shapes, and one clear error for each thing that is wrong."""

import functools
import math
import operator

import numpy as np
from array_api_compat import device, is_dask_namespace, is_jax_namespace, is_numpy_namespace

from ._libraries import check_together, library_name, namespace, namespace_of

# Too narrow to compute in: these are widened to float32 and the result is cast back.
_NARROW = ("float16", "bfloat16")
_WEAK = (bool, int, float, complex)


def dtype_name(dtype):
    """The bare name of a dtype of any library, such as "float16" for torch.float16."""
    return str(dtype).rsplit(".", 1)[-1]


@functools.cache
def kernels_of(kind):
    """Who has kernels for arrays of this very type, besides NumPy's; None where nobody has."""
    root = kind.__module__.partition(".")[0]
    if kind.__name__ == "ndarray" and root == "cupy":
        from . import _cupy

        return _cupy
    if kind.__name__ == "Array" and root == "dask":
        from . import _dask

        return _dask
    if root in ("torch", "jax", "jaxlib"):
        from ._lent import lender_of

        return lender_of(kind)
    return None


def is_complex(xp, dtype):
    """True for the complex dtypes; the extension dtypes that a library's isdtype does not know are not complex."""
    return xp.isdtype(dtype, "complex floating")


def _is_floating(xp, dtype):
    return dtype_name(dtype) in _NARROW or xp.isdtype(dtype, ("real floating", "complex floating"))


def _wide_float(xp):
    # JAX without x64 has no float64 and would warn about the request: take the widest that it gives.
    return xp.asarray(1.0).dtype if is_jax_namespace(xp) else xp.float64


def _refuse_sparse(x, name):
    layout = str(getattr(x, "layout", "torch.strided"))
    root, _, rest = type(x).__module__.partition(".")
    if root == "sparse" or (root in ("scipy", "cupyx") and "sparse" in rest) or layout.startswith("torch.sparse"):
        raise TypeError(f"{name} is sparse; a missing element would count as 0, not as -inf: pass a dense array")


def _as_numpy(x, name):
    """x as a plain ndarray of a numeric dtype in native byte order; x itself where it is one already."""
    if isinstance(x, np.matrix):
        raise TypeError(f"{name} is a numpy.matrix, which is not supported: pass np.asarray({name})")
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise TypeError(f"{name} is not a rectangular array (rows of different length?): {error}") from None
    if array.dtype.kind not in "biufc" and dtype_name(array.dtype) not in _NARROW:
        hint = "strings are not parsed" if array.dtype.kind in "SUT" else f"convert it, as in {name}.astype(float)"
        raise TypeError(f"{name} must be numeric, not an array of dtype {array.dtype}; {hint}")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def as_array(xp, x, name, like):
    """x as an array of xp, on the device of `like` where x brings none of its own."""
    check_together(x, name, like)
    if is_numpy_namespace(xp):
        return _as_numpy(x, name)
    return xp.asarray(_as_numpy(x, name), device=device(like)) if namespace(x) is None else x


def _common_dtype(xp, arrays, scalars):
    """The floating dtype of the result: integers count as float64, Python scalars take the arrays' precision."""
    dtypes = [array.dtype for array in arrays]
    floating = [dtype for dtype in dtypes if _is_floating(xp, dtype)]
    if not floating:
        dtype = _wide_float(xp)
    else:
        try:
            dtype = xp.result_type(*dtypes)
        except TypeError:  # the standard leaves integers with floats undefined, and array-api-strict refuses it
            dtype = xp.result_type(*floating, xp.float64)
    if any(isinstance(scalar, complex) for scalar in scalars) and not is_complex(xp, dtype):
        dtype = xp.result_type(dtype, xp.complex64)
    return dtype


def promote(values):
    """Arrays of one library and floating dtype out of named values, each in its own shape.

    Parameters
    ----------
    values : dict
        Argument name to array-like.

    Returns
    -------
    xp, arrays, dtype
        The namespace, a dict of arrays in the dtype to compute in, and the dtype of the result.
    """
    for name, value in values.items():
        _refuse_sparse(value, name)
    xp, like = namespace_of(values)
    weak = {name: value for name, value in values.items() if type(value) in _WEAK}
    arrays = {name: as_array(xp, value, name, like) for name, value in values.items() if name not in weak}
    dtype = _common_dtype(xp, arrays.values(), weak.values())
    compute = xp.float32 if dtype_name(dtype) in _NARROW else dtype
    for name, value in weak.items():
        arrays[name] = xp.asarray(value, dtype=compute, device=None if like is None else device(like))
    arrays = {n: x if x.dtype == compute else xp.astype(x, compute) for n, x in arrays.items()}
    return xp, {n: quiet(xp, x) for n, x in arrays.items()}, dtype


def quiet(xp, x):
    """x, with which nothing warns of infinities or underflow: Dask computes when np.errstate is long over."""
    if not is_dask_namespace(xp):
        return x
    from . import _dask

    return _dask.quiet(x)


def cast(xp, result, dtype):
    """A result in the dtype of the user's arrays, None where it has it already; a NumPy scalar for no dimensions."""
    if is_dask_namespace(xp):
        from . import _dask

        result = _dask.plain(result)
    if dtype is not None and result.dtype != dtype:
        with np.errstate(all="ignore"):
            result = result.astype(dtype) if is_numpy_namespace(xp) else xp.astype(result, dtype)
    return result[()] if is_numpy_namespace(xp) and result.ndim == 0 else result


def convert(values):
    """The same as `promote`, in one common shape."""
    xp, arrays, dtype = promote(values)
    shape = _broadcast_shape(arrays)
    arrays = {n: x if x.shape == shape else xp.broadcast_to(x, shape) for n, x in arrays.items()}
    return xp, arrays, dtype


def _broadcast_shape(arrays):
    shapes = {name: array.shape for name, array in arrays.items()}
    first = next(iter(shapes.values()))
    if all(shape == first for shape in shapes.values()):
        return first  # also where a lazy library does not know its lengths yet
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        described = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"the shapes of {described} do not broadcast together") from None


def as_mask(xp, where, x):
    """`where` as a boolean array of x's shape."""
    if where is None:
        return None
    if isinstance(where, np.ma.MaskedArray):
        where = where.filled(False)
    mask = as_array(xp, where, "where", x)
    if not xp.isdtype(mask.dtype, "bool"):
        raise TypeError(f"where must be boolean, not {dtype_name(mask.dtype)}; write a comparison, as in where=x > 0")
    if mask.shape == x.shape:
        return mask
    try:
        return xp.broadcast_to(mask, x.shape)
    except (ValueError, RuntimeError):
        raise ValueError(f"where of shape {tuple(mask.shape)} does not broadcast to {tuple(x.shape)}") from None


def as_axes(axis, ndim):
    """`axis` as a tuple of different integers in [0, ndim)."""
    if axis is None:
        return tuple(range(ndim))
    try:
        axes = tuple(operator.index(i) for i in (axis if isinstance(axis, tuple) else (axis,)))
    except TypeError:
        raise TypeError(f"axis must be None, an integer or a tuple of integers, not {axis!r}") from None
    if ndim == 0 and axes in ((0,), (-1,)):
        return ()  # a scalar counts as one element along its only axis, as in NumPy and SciPy
    for i in axes:
        if not -ndim <= i < ndim:
            raise np.exceptions.AxisError(i, ndim, "axis")
    axes = tuple(i % ndim for i in axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"axis names the same dimension twice: {axis!r}")
    return axes


def as_temperature(temperature):
    """`temperature` as a positive, finite Python float."""
    value = _as_number(temperature, "temperature")
    if not 0.0 < value < math.inf:
        raise ValueError(f"temperature must be positive and finite, not {temperature!r}")
    return value


def as_floor(floor):
    """`floor` as None or a Python float in (0, 1]."""
    if floor is None:
        return None
    value = _as_number(floor, "floor")
    if not 0.0 < value <= 1.0:
        raise ValueError(f"floor must be None or in (0, 1], not {floor!r}")
    return value


def _as_number(value, name):
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", 0) != 0:
        raise TypeError(f"{name} must be one real number, not {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be one real number, not {value!r}") from None


def check_out(out, xp, dtype, shape):
    """Raise unless `out` can take a result of this library, dtype and shape."""
    if namespace(out) is not xp:
        raise TypeError(f"out must be an array of the input's library ({library_name(xp)}), not {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype_name(dtype)}, not {dtype_name(out.dtype)}")
    if tuple(out.shape) != tuple(shape):
        raise ValueError(f"out must have shape {tuple(shape)}, not {tuple(out.shape)}")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out is read-only")


def write(out, result):
    """`result` in `out`, which is checked before anything is written."""
    xp = namespace(result) or namespace(np.empty(0))  # a NumPy scalar has none
    check_out(out, xp, result.dtype, result.shape)
    check_together(out, "out", result)
    try:
        out[...] = result
    except TypeError as error:
        raise TypeError("out cannot be written: this library's arrays are immutable") from error
    return out
