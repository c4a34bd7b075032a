"""CuPy arrays to the CUDA kernels. Imported only where the user's array is CuPy's.

NVRTC compiles a kernel when it is first needed, through CuPy's binding and not through RawModule, which appends
-ftz=true. The result is kept on disk beside CuPy's own kernels. A call then costs a look-up, the allocation of
the result and one or a few launches on the current stream; nothing waits for the device, and a call can be captured in
a graph once its kernels have been loaded.
"""

import contextlib
import functools
import hashlib
import importlib
import os
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import cupy
import numpy as np
from cupy.cuda import nvrtc, runtime
from cupy.cuda.function import CNumpyArray, Module

from . import _cuda, _cuda_kernels
from ._arrays import check_out
from ._libraries import check_together, namespace

_DTYPES = {"e": "float16", "f": "float32", "d": "float64"}
_MOST_PLANS = 4096
_MOST_RATIO = 4  # of the speed of floats to that of doubles, where kernels compute in doubles: 2 in data centres
_plans: dict = {}
_modules: dict = {}
_lock = threading.Lock()
_HERE = contextlib.nullcontext()


class Call(NamedTuple):
    """A plan, ready to be launched on one device."""

    launches: tuple  # of (function, grid, block, structs, options of the launch)
    scratch: int
    cleared: bool
    keep: object  # the memory that the structs point into


def answer(operation, x, axis, *rest, out=None, **options):
    """The result of a public function for a CuPy array, or None for the definition to compute it.

    Parameters
    ----------
    operation : str
        The function's name.
    x : cupy.ndarray
        Its first argument.
    axis : object
        Its second; the labels or targets of a loss.
    *rest, **options : object
        The others: `b`, `keepdims`, `return_sign` by position, the rest by name.
    out : object
        Where the result goes, None for a new array.
    """
    if operation == "logcumsumexp":
        return _door("cumulative").answer(x, axis, out=out, **options)
    if operation not in _cuda_kernels.OPERATIONS:
        return _door("losses").answer(operation, x, axis, *rest, **options)
    dtype = _DTYPES.get(x.dtype.char)
    b, keepdims, return_sign = rest if len(rest) == 3 else (None, rest[0] if rest else False, False)
    if dtype is None or x.size == 0 or type(keepdims) is not bool or type(return_sign) is not bool:
        return None
    if b is not None or return_sign:
        return _door("weights").answer(x, axis, b, keepdims, return_sign, out, **options)
    if options and not _plain(**options):
        return _door("options").answer(operation, x, axis, keepdims, out, **options)
    axes = _axes(axis, x.ndim)
    if not axes:
        return None
    shape = _reduced(x.shape, axes, keepdims) if operation in _cuda_kernels.REDUCTIONS else x.shape
    if out is not None:
        _check_out(out, x, shape)
    with device_of(x):
        return _run(operation, dtype, x, axes, shape, keepdims, out)


@functools.cache
def _door(name):
    """A module that imports this one."""
    return importlib.import_module(f"._cupy_{name}", __package__)


def _plain(temperature=1.0, floor=None, where=None):
    """Whether the options are those that a call without any has."""
    return where is None and floor is None and type(temperature) in (int, float) and temperature == 1


def answer_elementwise(name, arrays, out=None):
    """The result of an elementwise function, or None for the definition to compute it."""
    first = arrays[0]
    dtype = _DTYPES.get(first.dtype.char)
    if dtype is None or any(type(x) is not cupy.ndarray or x.dtype != first.dtype for x in arrays):
        return None
    shape = first.shape
    if len(arrays) > 1:
        devices = {x.data.device_id for x in arrays}
        if len(devices) > 1:
            raise ValueError(f"{name} takes arrays of one device, not of {sorted(devices)}")
        try:
            shape = np.broadcast_shapes(*(x.shape for x in arrays))
        except ValueError:
            return None
    if 0 in shape:
        return None
    if out is not None:
        _check_out(out, first, shape)
    with device_of(first):
        return _run_elementwise(name, dtype, arrays, shape, out)


def _run_elementwise(name, dtype, arrays, shape, out):
    arrays = [x if x.shape == shape else cupy.broadcast_to(x, shape) for x in arrays]
    y = out
    if y is None:
        fortran = all(x.flags.f_contiguous and not x.flags.c_contiguous for x in arrays)
        y = cupy.empty(shape, arrays[0].dtype, order="F" if fortran else "C")
    else:
        arrays = [_apart(x, y) for x in arrays]
    pointers = [x.data.ptr for x in (*arrays, y)]
    aligned = all(pointer % 16 == 0 for pointer in pointers)
    steps = tuple(x.strides for x in (*arrays, y))
    key = (name, dtype, shape, steps, aligned, y.data.device_id)
    call = _plans.get(key) or remember(
        key, _cuda.plan_elementwise(name, dtype, shape, steps, aligned, slow_doubles(y.data.device_id))
    )
    if call is None:
        return None
    x, *more, result = pointers
    launch(call, (x, result, more[0] if more else 0))
    return y


def _apart(x, y):
    """x, or a copy of it where y overlaps it otherwise than element for element."""
    same = x.data.ptr == y.data.ptr and x.strides == y.strides and x.shape == y.shape
    return x if same or not may_share_memory(x, y) else x.copy()


def may_share_memory(x, y):
    """Whether y lies where x does. CuPy's function compares allocations, which DLPack makes anew for each array."""
    (low, high), (first, last) = _bounds(x), _bounds(y)
    return low < last and first < high


def _bounds(x):
    reaches = [(length - 1) * step for length, step in zip(x.shape, x.strides)]
    low = x.data.ptr + sum(reach for reach in reaches if reach < 0)
    return low, x.data.ptr + sum(reach for reach in reaches if reach > 0) + x.itemsize


def _check_out(out, x, shape):
    if type(out) is not cupy.ndarray or out.dtype != x.dtype or out.shape != shape:
        check_together(out, "out", x)
        check_out(out, namespace(x), x.dtype, shape)
    if out.data.device_id != x.data.device_id:
        raise ValueError(f"out is on device {out.data.device_id}, the input on device {x.data.device_id}")


def _axes(axis, ndim):
    """The axes in order; empty where the definition has to explain what is wrong, or to treat no axis."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    given = axis if type(axis) is tuple else (axis,)
    if not all(type(i) is int and -ndim <= i < ndim for i in given):
        return ()
    axes = tuple(sorted(i % ndim for i in given))
    return axes if len(set(axes)) == len(axes) else ()


def _reduced(shape, axes, keepdims):
    """The shape of a reduction."""
    if keepdims:
        return tuple(1 if i in axes else length for i, length in enumerate(shape))
    return tuple(length for i, length in enumerate(shape) if i not in axes)


def _run(operation, dtype, x, axes, shape, keepdims, out):
    y = out
    if y is None:
        y = empty_like(x) if shape == x.shape else cupy.empty(shape, x.dtype)
    else:
        x = _apart(x, y)
    pointers = x.data.ptr, y.data.ptr
    aligned = (pointers[0] | pointers[1]) % 16 == 0
    key = (operation, dtype, x.shape, x.strides, axes, keepdims, y.strides, aligned, x.data.device_id)
    device = x.data.device_id
    call = _plans.get(key) or remember(
        key, _cuda.plan(operation, dtype, x.shape, axes, x.strides, _steps(operation, x, axes, keepdims, y), aligned,
                        slow_doubles(device), multiprocessors(device))
    )  # fmt: skip
    if call is None:
        return None
    scratch = scratch_of(call)
    launch(call, (*pointers, pointer_to(scratch)))
    return y


def device_of(x):
    """The context in which x's device is the current one."""
    return _HERE if runtime.getDevice() == x.data.device_id else x.device


def empty_like(x):
    """In Fortran order where x is, else in C order."""
    fortran = x.flags.f_contiguous and not x.flags.c_contiguous
    return cupy.empty(x.shape, x.dtype, order="F" if fortran else "C")


def pointer_to(array):
    return 0 if array is None else array.data.ptr


def scratch_of(call):
    """The memory for what its launches leave, or None."""
    return (cupy.zeros if call.cleared else cupy.empty)(call.scratch, "d") if call.scratch else None


def launch(call, pointers):
    """Its launches, on the current stream."""
    for function, grid, block, structs, options in call.launches:
        function(grid, block, (*pointers, *structs), **options)


@functools.cache
def slow_doubles(device):
    """Whether pairs of floats are faster than doubles: consumer cards compute floats 32 or 64 times as fast."""
    return runtime.deviceGetAttribute(runtime.cudaDevAttrSingleToDoublePrecisionPerfRatio, device) > _MOST_RATIO


@functools.cache
def multiprocessors(device):
    return runtime.deviceGetAttribute(runtime.cudaDevAttrMultiProcessorCount, device)


def _steps(operation, x, axes, keepdims, y):
    """Strides of y in the order of x's axes, 0 for those that it lacks."""
    if operation not in _cuda_kernels.REDUCTIONS:
        return y.strides
    if keepdims:
        return tuple(0 if i in axes else step for i, step in enumerate(y.strides))
    steps = iter(y.strides)
    return tuple(0 if i in axes else next(steps) for i in range(x.ndim))


def remember(key, plan):
    """The call of a plan on the current device, kept under a key. None without a plan."""
    if plan is None:
        return None
    launches = tuple(
        (_function(one.kernel), one.grid, one.block, tuple(map(CNumpyArray, plan.taken_by(one))),
         {"enable_cooperative_groups": True} if one.together else {})
        for one in plan.launches
    )  # fmt: skip
    if len(_plans) >= _MOST_PLANS:
        _plans.clear()
    _plans[key] = call = Call(launches, plan.scratch, plan.cleared, plan.structs)
    return call


# ---- from source to function ----


def _function(name):
    """A kernel on the current device."""
    device = runtime.getDevice()
    with _lock:
        module = _modules.get((name, device))
        if module is None:
            module = Module()
            module.load(_cubin(name, _architecture(int(cupy.cuda.Device(device).compute_capability))))
            _modules[name, device] = module
    return module.get_function(name)


def _architecture(capability):
    """The newest architecture that NVRTC compiles for and the device runs."""
    known = [one for one in nvrtc.getSupportedArchs() if one <= capability and one // 10 == capability // 10]
    return max(known, default=capability)


def build(name, architecture, *more):
    """Cubin of one kernel, and what the compiler said.

    Parameters
    ----------
    name : str
        One of _cuda_kernels.kernels().
    architecture : int
        Such as 90.
    *more : str
        Further options of NVRTC.
    """
    texts, names = _cuda_kernels.headers()
    headers, include_names = ([text.encode() for text in column] for column in (texts, names))
    program = nvrtc.createProgram(_cuda_kernels.source([name]), f"{name}.cu", headers, include_names)
    try:
        nvrtc.compileProgram(program, (*_cuda_kernels.options(architecture), *more))
        return nvrtc.getCUBIN(program), nvrtc.getProgramLog(program)
    except nvrtc.NVRTCError as error:
        raise RuntimeError(f"NVRTC does not compile {name}:\n{nvrtc.getProgramLog(program)}") from error
    finally:
        nvrtc.destroyProgram(program)


def _cubin(name, architecture):
    """From the disk where it has been compiled before: its own SHA-256, then the code."""
    if os.environ.get("CUPY_CACHE_IN_MEMORY") == "1":
        return build(name, architecture)[0]
    texts, _ = _cuda_kernels.headers()
    parts = [_cuda_kernels.source([name]), *texts, *_cuda_kernels.options(architecture), str(nvrtc.getVersion())]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy/kernel_cache")
    path = folder / f"stablesoft_{key}.cubin"
    try:
        kept = path.read_bytes()
        if hashlib.sha256(kept[32:]).digest() == kept[:32]:
            return kept[32:]
    except OSError:
        pass
    code, _ = build(name, architecture)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(file.name).replace(path)  # whole, or not at all
    except OSError:  # a full or read-only disk: compile again next time
        pass
    return code
