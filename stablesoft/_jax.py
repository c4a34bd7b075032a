"""JAX's arrays for `_lent`. Imported only where the user's array is JAX's; tracers are of other types."""

import jax
import numpy as np

from ._lent import Kept

with jax.ensure_compile_time_eval():  # not a tracer, wherever this is imported
    KINDS = frozenset([type(jax.numpy.zeros(()))])
FIRST = frozenset(map(np.dtype, ("float32", "float64")))


def settled(x):
    """Whether the result has the dtype of x: not where weak types give way, or float64 is switched off."""
    return not x.weak_type and (x.dtype == np.float32 or jax.config.jax_enable_x64)


def view(x, first):
    """The array as a read-only NumPy array over its memory."""
    if x.committed and (not first.committed or x.sharding != first.sharding):
        raise Kept  # the result would be bound to another device, or this is an error
    if len(x.devices()) > 1:
        raise Kept
    try:
        return np.from_dlpack(x)
    except (RuntimeError, TypeError, BufferError):  # another device, a dtype that NumPy lacks, or memory given away
        raise Kept from None


def writable(out, x):  # noqa: ARG001
    """Nothing: these arrays never change."""
    raise Kept


def own(result, x):
    """A result as an array on the device of x; bound to that device, if x is."""
    if x.committed:
        return jax.device_put(result, x.sharding)
    with jax.default_device(x.device):
        return jax.numpy.asarray(result)
