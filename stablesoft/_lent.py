"""Arrays of other libraries in the CPU's memory, lent to the compiled kernels.

NumPy looks into the memory of the other library, so nothing is copied on the way in, and the result becomes an array of
that library. Lent is what has values and nothing else: where a gradient is asked for, where calls are traced or mapped,
and on other devices, the definition answers.
"""

import functools

from . import _native
from ._arrays import kernels_of
from ._libraries import namespace

_PLAIN = frozenset([type(None), bool, int, float, str, tuple, list])


class Kept(Exception):
    """An argument that its library does not lend."""


class Lender:
    """What the doors ask for another library's results (`_arrays.kernels_of`): the same functions over NumPy's views.

    Parameters
    ----------
    library : module
        `_torch` or `_jax`: what is lent, and how a result becomes an array of the library.
    """

    def __init__(self, library):
        self.kinds, self.first, self.settled = library.KINDS, library.FIRST, library.settled
        self.view, self.writable = library.view, library.writable
        self.own = library.own
        self.written = getattr(library, "written", None)  # none where nothing is writable

    def answer(self, name, x, *rest, out=None, **options):
        """The result of a public function, or None for the definition to compute it.

        Parameters
        ----------
        name : str
            The function's name.
        x : array
            Its first argument.
        *rest, **options : object
            The others, as the doors hand them back.
        out : object
            Where the result goes, None for a new array.
        """
        if name == "logsumexp" and rest[1] is not None and not _alike(x, rest[1]):
            return None
        return self.over_numpy(getattr(_native, name), x, rest, options, out)

    def answer_elementwise(self, name, arrays, out=None):
        """The result of an elementwise function, or None for the definition to compute it."""
        if not _alike(*arrays):
            return None
        x, *others = arrays
        return self.over_numpy(_native.ufuncs[name], x, others, {}, out)

    def over_numpy(self, function, x, rest, options, out=None):
        """What a function of NumPy arrays returns for views of these, or None where one of them is not lent."""
        if x.dtype not in self.first or not self.settled(x):
            return None
        try:
            view = self.view(x, x)
            rest = [one if type(one) in _PLAIN else self._lend(one, x) for one in rest]
            for name, one in options.items():
                if type(one) not in _PLAIN:
                    options[name] = self._lend(one, x)
            if out is not None:
                options["out"] = self.writable(out, x)
        except Kept:
            return None
        result = function(view, *rest, **options)
        if type(result) is not tuple:
            return self.own(result, x) if out is None else self.written(out)
        value, *others = (self.own(one, x) for one in result)
        return (value if out is None else self.written(out), *others)

    def _lend(self, value, x):
        if type(value) in self.kinds:
            return self.view(value, x)
        if namespace(value) is None:
            return value
        raise Kept


def _alike(x, *others):
    # How different dtypes are promoted, each library says itself.
    return all(getattr(one, "dtype", None) == x.dtype for one in others)


def over_views(promoted=0):
    """Let a function that takes NumPy arrays answer for views of lent ones.

    Parameters
    ----------
    promoted : int
        How many arguments after the first one share in the dtype of the result.

    Returns
    -------
    function
        A decorator.
    """

    def decorator(function):
        first = function.__code__.co_varnames[0]

        @functools.wraps(function)
        def call(*args, **kwargs):
            if not args and first in kwargs:
                args = (kwargs.pop(first),)
            kernels = kernels_of(type(args[0])) if args else None
            if isinstance(kernels, Lender) and _alike(*args[: 1 + promoted]):
                result = kernels.over_numpy(function, args[0], args[1:], dict(kwargs))
                if result is not None:
                    return result
            return function(*args, **kwargs)

        return call

    return decorator


def lender_of(kind):
    """The lender of arrays of this very type; None where there is none."""
    try:
        if kind.__module__.partition(".")[0] == "torch":
            from . import _torch as library
        else:
            from . import _jax as library
    except (ImportError, AttributeError):  # a version that does not say what `settled` has to know lends nothing
        return None
    return Lender(library) if kind in library.KINDS else None
