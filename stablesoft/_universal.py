"""What the elementwise functions are: objects that are ufuncs to NumPy and take arrays of other libraries as well."""

import numpy as np
from array_api_compat import is_dask_array

from . import _native
from ._arrays import convert, kernels_of, write
from ._libraries import namespace

_PLAIN = (np.ndarray, np.generic, float, int, list, tuple)


def _is_foreign(x):
    # Dask's arrays, like pandas' columns, answer a ufunc themselves, block by block.
    return not isinstance(x, _PLAIN) and namespace(x) is not None and not is_dask_array(x)


class Elementwise:
    """A ufunc that also takes the arrays of libraries that ufuncs do not know.

    It stands for the ufunc of its name (attributes, methods and isinstance are the ufunc's), and calls its definition
    instead where an argument is an array that a ufunc cannot take.

    Parameters
    ----------
    definition : function
        Takes a namespace and one array for each argument of the ufunc.
    """

    def __init__(self, definition):
        name = definition.__name__
        self._ufunc, self.definition = _native.ufuncs[name], definition
        self._names = definition.__code__.co_varnames[1 : 1 + self._ufunc.nin]
        self.__name__ = self.__qualname__ = name
        self.__module__ = "stablesoft"  # where pickle finds it
        self.__doc__ = definition.__doc__

    def __call__(self, *args, **kwargs):
        for x in args:
            if type(x) is not np.ndarray and _is_foreign(x):
                return self._in_array_api(args, **kwargs)
        return self._ufunc(*args, **kwargs)

    def _in_array_api(self, args, *, out=None, **others):
        if others:
            raise TypeError(f"{self.__name__} takes {next(iter(others))} with NumPy arrays only")
        if len(args) != len(self._names):
            raise TypeError(f"{self.__name__} takes {len(self._names)} arrays, not {len(args)}")
        result = self._offer(args, out)
        if result is not None:
            return result
        xp, arrays, dtype = convert(dict(zip(self._names, args, strict=True)))
        if xp.isdtype(dtype, "complex floating"):
            raise TypeError(f"{self.__name__} takes real numbers, not {dtype}")
        result = self._offer(tuple(arrays.values()), None)
        if result is None:
            result = self.definition(xp, **arrays)
        if result.dtype != dtype:
            result = xp.astype(result, dtype)
        return result if out is None else write(out, result)

    def _offer(self, args, out):
        """The result of the library's own kernels, None where they do not take the arrays."""
        kernels = kernels_of(type(args[0]))
        return None if kernels is None else kernels.answer_elementwise(self.__name__, args, out)

    def __getattr__(self, name):
        return getattr(object.__getattribute__(self, "_ufunc"), name)

    @property  # type: ignore[misc]
    def __class__(self):
        return np.ufunc  # so that isinstance says what the object can do

    def __reduce__(self):
        return self.__name__

    def __repr__(self):
        return f"<ufunc '{self.__name__}' of stablesoft>"
