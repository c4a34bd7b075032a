"""PyTorch's tensors for `_lent`. Imported only where the user's array is PyTorch's."""

import numpy as np
import torch
from torch import from_numpy, is_grad_enabled
from torch._C import _get_tracing_state, _len_torch_dispatch_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.autograd.graph import increment_version
from torch.compiler import is_compiling
from torch.overrides import has_torch_function_unary

from ._lent import Kept

KINDS = frozenset([torch.Tensor, torch.nn.Parameter])
_BFLOAT16 = torch.bfloat16  # unknown to NumPy: goes as float32
# Of these NumPy makes the same dtype as the definition.
FIRST = frozenset([torch.float32, torch.float64, torch.float16, _BFLOAT16, torch.bool,
                   torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])  # fmt: skip
forward_ad._current_level  # noqa: B018 - where it is missing, nothing is lent


def settled(x):
    """Whether nobody looks on, blind to what NumPy does: no compiler, mode, trace, vmap or forward derivative."""
    return (
        not is_compiling()
        and not has_torch_function_unary(x)
        and not _len_torch_dispatch_stack()
        and peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and _get_tracing_state() is None
    )


def view(x, first):  # noqa: ARG001
    """The tensor as a NumPy array over its memory."""
    if not x.is_cpu or (x.requires_grad and is_grad_enabled()):
        raise Kept
    try:
        return (x.float() if x.dtype is _BFLOAT16 else x).numpy()
    except (RuntimeError, TypeError):  # another layout than strides, or bits that say "conjugate" or "negative"
        raise Kept from None


def writable(out, x):
    """The view of a tensor to write to."""
    if type(out) not in KINDS or x.dtype is _BFLOAT16 or out.is_inference() or 0 in out.stride():
        raise Kept
    return view(out, x)


def own(result, x):
    """A result as a tensor, over the same memory."""
    result = from_numpy(result if type(result) is np.ndarray else np.asarray(result))
    return result.to(_BFLOAT16) if x.dtype is _BFLOAT16 else result


def written(out):
    """A tensor after its view has been written to: autograd sees by its version that it has changed."""
    increment_version(out)
    return out
