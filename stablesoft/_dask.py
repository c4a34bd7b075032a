"""Dask's arrays without warnings: the definitions only build a graph, and what computes it later knows no np.errstate.

So the blocks themselves carry it: they are arrays of a type of their own until the result is made.
"""

import numpy as np


class Quiet(np.ndarray):
    """An array for whose functions infinities, NaN and underflow are answers, not accidents."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        inputs = [_plain(one) for one in inputs]
        if "out" in options:
            options["out"] = tuple(_plain(one) for one in options["out"])
        with np.errstate(all="ignore"):
            return _quiet(getattr(ufunc, method)(*inputs, **options))

    def __array_function__(self, function, types, args, kwargs):
        with np.errstate(all="ignore"):
            return _quiet(super().__array_function__(function, types, args, kwargs))


def _plain(value):
    return value.view(np.ndarray) if isinstance(value, Quiet) else value


def _quiet(value):
    return value.view(Quiet) if type(value) is np.ndarray else value


def quiet(x):
    """x with quiet blocks, if they are NumPy's."""
    return x.map_blocks(_quiet, dtype=x.dtype, meta=_quiet(x._meta)) if type(x._meta) is np.ndarray else x


def plain(x):
    """x with NumPy's blocks again; what Dask knows of them does not tell whether they are quiet."""
    return x.map_blocks(_plain, dtype=x.dtype, meta=_plain(x._meta)) if isinstance(x._meta, np.ndarray) else x
