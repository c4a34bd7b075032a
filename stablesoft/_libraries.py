"""Which library an array comes from: told by its exact type, once for each, and nothing is imported to find out.

array-api-compat looks into `sys.modules` for the libraries that it knows; any other array speaks for itself through
`__array_namespace__`.
"""

import sys

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_dask_namespace, is_jax_namespace

_NAMESPACES: dict = {}  # exact type of an array: its namespace; None for what is no array


def namespace(x):
    """The namespace of an array; None for lists, Python's and NumPy's scalars and whatever else is no array."""
    kind = type(x)
    try:
        return _NAMESPACES[kind]
    except KeyError:
        found = None
        if is_array_api_obj(x) and not isinstance(x, np.generic):
            found = array_namespace(np.empty(0) if isinstance(x, np.ndarray) else x)
        return _NAMESPACES.setdefault(kind, found)


def library_name(xp):
    """What users call the library of a namespace."""
    return xp.__name__.removeprefix("array_api_compat.").partition(".")[0]


def _place(xp, x):
    """The device of an array; None where its library has not settled it."""
    if is_jax_namespace(xp) and (isinstance(x, sys.modules["jax"].core.Tracer) or not x.committed):
        return None
    return device(x)


def check_together(x, name, like, first="the input"):
    """Raise unless x, if it is an array, is one of the library and on the device of `like`, if that is one."""
    xp, expected = namespace(x), namespace(like)
    if xp is None or expected is None:
        return
    if xp is not expected:
        raise TypeError(
            f"{name} is an array of {library_name(xp)} and {first} one of {library_name(expected)}:"
            f" pass arrays of one library"
        )
    if type(x) is np.ndarray:
        return
    here, there = _place(xp, x), _place(xp, like)
    if here is not None and there is not None and here != there:
        raise TypeError(f"{name} is on the device {here} and {first} on {there}: pass arrays on one device")


def namespace_of(values):
    """The one library, and the first array, of named values; NumPy and None where no array is among them."""
    first = like = None
    for name, value in values.items():
        if namespace(value) is not None:
            if like is None:
                first, like = name, value
            check_together(value, name, like, first)
    return namespace(np.empty(0) if like is None else like), like


def answers(condition):
    """A condition's truth where it can be had without waiting; False where looking would stop a trace, or the GPU."""
    xp = namespace(condition)
    if xp is None:  # a scalar of NumPy
        return bool(condition)
    if is_dask_namespace(xp) or (is_jax_namespace(xp) and isinstance(condition, sys.modules["jax"].core.Tracer)):
        return False
    if "cpu" not in str(device(condition)).lower():
        return False
    try:
        return bool(condition)
    except RuntimeError:  # torch, while it maps a function over a batch
        return False
