# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""Typed doors to the compiled kernels.

A door takes plain NumPy arrays of float32 and float64, any layout, and hands every other call back to the function that
`register` gave it. Nothing is raised here for a user's mistake: the definition knows how to say it.
"""

import os

cimport numpy as cnp

import numpy as np

from libc.stdint cimport int64_t

from libc.string cimport memset

from libc.math cimport INFINITY, NAN, fma, frexp, ldexp

cnp.import_array()

cdef extern from "kernels.h":
    enum ss_operation:
        SS_SOFTMAX
        SS_LOG_SOFTMAX
        SS_LOGSUMEXP
        SS_LOGMEANEXP
        SS_CROSS_ENTROPY
    enum ss_cumulation:
        SS_WHOLE
        SS_INCLUSIVE
        SS_EXCLUSIVE
    ctypedef struct ss_job:
        ss_operation operation
        const char *x
        const char *mask
        char *y
        Py_ssize_t rows, n
        int kept, reduced
        Py_ssize_t kept_shape[64]
        Py_ssize_t kept_x[64]
        Py_ssize_t kept_y[64]
        Py_ssize_t kept_mask[64]
        Py_ssize_t reduced_shape[64]
        Py_ssize_t reduced_x[64]
        Py_ssize_t reduced_y[64]
        Py_ssize_t reduced_mask[64]
        int stream
        double temperature, floor
        ss_cumulation cumulative
        const char *b
        char *sign
        double *terms
    ctypedef void (*ss_loop)(const void *job, Py_ssize_t first, Py_ssize_t last) noexcept nogil
    ctypedef struct ss_kernels:
        const char *name
        ss_loop *pairs
        ss_loop exponents
        ss_loop cut
        ss_loop settle
        ss_loop power
        ss_loop norm
        ss_loop direction
        ss_loop tangent
        ss_loop margin_rows
        ss_loop reached
        ss_loop combined
    const ss_kernels *const *ss_available()
    void ss_run(const ss_kernels *kernels, int type, const ss_job *job, int threads) noexcept nogil
    int ss_threads() noexcept nogil

# From here on releasing the GIL costs less than it gives; from there on results go past the caches.
cdef Py_ssize_t NOGIL_ELEMENTS = 4096
cdef Py_ssize_t STREAM_BYTES = 1 << 24

cdef const ss_kernels *kernels = NULL
cdef dict definitions = {}


def isa_available():
    """Names of the instruction sets this machine runs, best first."""
    cdef const ss_kernels *const *table = ss_available()
    names = []
    while table[0] != NULL:
        names.append(table[0].name.decode())
        table += 1
    return tuple(names)


def isa():
    """Name of the instruction set in use."""
    return kernels.name.decode()


def threads():
    """Most threads that one call uses."""
    return ss_threads()


def register(str name, hand_back):
    """Set the function that answers the calls a door does not take."""
    definitions[name] = hand_back


cdef _choose():
    global kernels
    wanted = os.environ.get("STABLESOFT_ISA")
    available = isa_available()
    if wanted is not None and wanted not in available:
        raise ImportError(f"STABLESOFT_ISA={wanted!r}: this machine has {', '.join(available)}")
    kernels = ss_available()[0 if wanted is None else available.index(wanted)]


_choose()


cdef inline bint _takes(object x):
    """A plain, aligned, native float32 or float64 array."""
    if not cnp.PyArray_CheckExact(x):
        return False
    cdef int kind = cnp.PyArray_TYPE(<cnp.ndarray> x)
    return (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray> x)


cdef int _axes(object axis, int ndim, bint *reduce) except -1:
    """Mark the reduced axes; 0 where the definition has to explain what is wrong, or to treat axis=()."""
    cdef int i
    cdef Py_ssize_t index
    for i in range(ndim):
        reduce[i] = axis is None
    if axis is None:
        return ndim > 0
    for one in (axis if type(axis) is tuple else (axis,)):
        if type(one) is not int:
            return 0
        index = one
        if index < 0:
            index += ndim
        if index < 0 or index >= ndim or reduce[index]:
            return 0
        reduce[index] = True
    return 1 if axis != () else 0


cdef int _append(int count, Py_ssize_t *shape, Py_ssize_t *x, Py_ssize_t *y, Py_ssize_t *mask,
                 Py_ssize_t length, Py_ssize_t step_x, Py_ssize_t step_y, Py_ssize_t step_mask) noexcept:
    """Add a dimension, inside the last one or joined with it."""
    if length == 1:
        return count
    if count and x[count - 1] == step_x * length and y[count - 1] == step_y * length \
            and mask[count - 1] == step_mask * length:
        count -= 1
        shape[count] *= length
    else:
        shape[count] = length
    x[count] = step_x
    y[count] = step_y
    mask[count] = step_mask
    return count + 1


cdef object _results(cnp.ndarray y, cnp.ndarray sign, object out, bint signed):
    """The result in `out` where one was given, a scalar for no dimensions, and the sign beside it."""
    value = y
    if out is not None and value is not out:
        out[...] = value
        value = out
    elif out is None and cnp.PyArray_NDIM(y) == 0:
        value = y[()]
    if not signed:
        return value
    if sign is None:  # no weights: the sum is positive, nothing at all, or not a number
        return value, np.where(np.isnan(y), y, np.greater(y, -INFINITY).astype(y.dtype))[()]
    return value, (sign[()] if cnp.PyArray_NDIM(sign) == 0 else sign)


cdef object _run(ss_operation operation, cnp.ndarray x, object axis, bint keepdims, object where, object out,
                 double temperature=1.0, double floor=0.0, object b=None, bint signed=False,
                 ss_cumulation cumulative=SS_WHOLE, bint reverse=False):
    """The result, (result, sign) if `signed`, or None where the call is to be handed back."""
    cdef ss_job job
    cdef bint reduce[64]
    cdef int ndim = cnp.PyArray_NDIM(x), i, j, kept = 0, type_num = cnp.PyArray_TYPE(x)
    cdef bint keeps_shape = operation == SS_SOFTMAX or operation == SS_LOG_SOFTMAX or cumulative != SS_WHOLE
    cdef cnp.npy_intp shape[64]
    cdef cnp.npy_intp *x_shape = cnp.PyArray_DIMS(x)
    cdef cnp.npy_intp *x_steps = cnp.PyArray_STRIDES(x)
    cdef cnp.ndarray y, mask = None, weights = None, sign = None
    cdef Py_ssize_t elements = cnp.PyArray_SIZE(x), step_x, step_y, step_mask
    cdef int type_index = type_num == cnp.NPY_DOUBLE
    if not _axes(axis, ndim, reduce):
        return None
    if where is not None:
        if not cnp.PyArray_CheckExact(where) or cnp.PyArray_TYPE(<cnp.ndarray> where) != cnp.NPY_BOOL:
            return None
        try:
            mask = np.broadcast_to(where, (<object> x).shape)
        except ValueError:
            return None
    if b is not None:
        if not _takes(b) or cnp.PyArray_TYPE(<cnp.ndarray> b) != type_num:
            return None
        try:
            weights = np.broadcast_to(b, (<object> x).shape)
        except ValueError:
            return None
    for i in range(ndim):
        if keeps_shape or not reduce[i]:
            shape[kept] = x_shape[i]
            kept += 1
        elif keepdims:
            shape[kept] = 1
            kept += 1
    if out is None:
        y = cnp.PyArray_EMPTY(kept, shape, type_num, keeps_shape and not cnp.PyArray_IS_C_CONTIGUOUS(x)
                              and cnp.PyArray_IS_F_CONTIGUOUS(x) and (cumulative == SS_WHOLE or axis is not None))
    else:
        if not _takes(out) or cnp.PyArray_TYPE(<cnp.ndarray> out) != type_num \
                or cnp.PyArray_NDIM(<cnp.ndarray> out) != kept or not cnp.PyArray_ISWRITEABLE(<cnp.ndarray> out):
            return None
        y = out
        for i in range(kept):
            if cnp.PyArray_DIMS(y)[i] != shape[i]:
                return None
        if cnp.PyArray_DATA(y) == cnp.PyArray_DATA(x) and keeps_shape and cumulative == SS_WHOLE:
            for i in range(ndim):
                if cnp.PyArray_STRIDES(y)[i] != x_steps[i] and x_shape[i] > 1:
                    x = x.copy()
                    x_steps = cnp.PyArray_STRIDES(x)
                    break
        elif np.may_share_memory(x, y):
            x = x.copy()
            x_steps = cnp.PyArray_STRIDES(x)
        if mask is not None and np.may_share_memory(mask, y):
            mask = np.broadcast_to(np.array(where), (<object> x).shape)
    if weights is not None and out is not None:
        y = cnp.PyArray_EMPTY(kept, shape, type_num, False)
    if weights is not None and signed:
        sign = cnp.PyArray_EMPTY(kept, shape, type_num, False)
    job.operation = operation
    job.temperature = temperature
    job.floor = floor
    job.cumulative = cumulative
    job.x = <const char *> cnp.PyArray_DATA(x)
    job.y = <char *> cnp.PyArray_DATA(y)
    job.b = NULL if weights is None else <char *> cnp.PyArray_DATA(weights)
    job.sign = NULL if sign is None else <char *> cnp.PyArray_DATA(sign)
    job.terms = NULL
    job.mask = NULL if mask is None else <char *> cnp.PyArray_DATA(mask)
    job.rows = 1
    job.n = 1
    job.kept = 0
    job.reduced = 0
    j = 0
    for i in range(ndim):
        step_x = x_steps[i]
        step_mask = 0 if mask is None else cnp.PyArray_STRIDES(mask)[i]
        step_y = 0
        if keeps_shape or not reduce[i] or keepdims:
            if keeps_shape or not reduce[i]:
                step_y = cnp.PyArray_STRIDES(y)[j]
            j += 1
        if weights is not None:
            step_y = cnp.PyArray_STRIDES(weights)[i]
        if reduce[i]:
            job.n *= x_shape[i]
            if reverse and x_shape[i] > 0:  # from the last element to the first
                job.x += (x_shape[i] - 1) * x_steps[i]
                job.y += (x_shape[i] - 1) * step_y
                step_x = -step_x
                step_y = -step_y
            job.reduced = _append(job.reduced, job.reduced_shape, job.reduced_x, job.reduced_y, job.reduced_mask,
                                  x_shape[i], step_x, step_y, step_mask)
        else:
            job.rows *= x_shape[i]
            job.kept = _append(job.kept, job.kept_shape, job.kept_x, job.kept_y, job.kept_mask,
                               x_shape[i], x_steps[i], step_y, step_mask)
    if job.reduced == 0:  # one element a row: a dimension of length 1
        job.reduced = 1
        job.reduced_shape[0] = job.n
        job.reduced_x[0] = job.reduced_y[0] = cnp.PyArray_ITEMSIZE(x)
        job.reduced_mask[0] = 1
    if job.rows == 0 or (keeps_shape and job.n == 0):
        return _results(y, sign, out, signed)
    job.stream = keeps_shape and elements * cnp.PyArray_ITEMSIZE(x) > STREAM_BYTES and job.x != job.y
    if elements < NOGIL_ELEMENTS:
        ss_run(kernels, type_index, &job, 1)
    else:
        with nogil:
            ss_run(kernels, type_index, &job, ss_threads())
    return _results(y, sign, out, signed)


cdef inline bint _divides(object temperature):
    return type(temperature) is float and 0.0 < <double> temperature < INFINITY


def softmax(x, axis=None, *, temperature=1.0, floor=None, where=None, out=None):
    """Door of stablesoft.softmax."""
    if _takes(x) and _divides(temperature) and (floor is None or type(floor) is float and 0.0 < <double> floor <= 1.0):
        result = _run(SS_SOFTMAX, x, axis, False, where, out, temperature, 0.0 if floor is None else floor)
        if result is not None:
            return result
    return definitions["softmax"](x, axis, temperature=temperature, floor=floor, where=where, out=out)


def log_softmax(x, axis=None, *, temperature=1.0, where=None, out=None):
    """Door of stablesoft.log_softmax."""
    if _takes(x) and _divides(temperature):
        result = _run(SS_LOG_SOFTMAX, x, axis, False, where, out, temperature)
        if result is not None:
            return result
    return definitions["log_softmax"](x, axis, temperature=temperature, where=where, out=out)


def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False, *, where=None, out=None):
    """Door of stablesoft.logsumexp."""
    if _takes(a) and type(return_sign) is bool and type(keepdims) is bool:
        result = _run(SS_LOGSUMEXP, a, axis, keepdims, where, out, 1.0, 0.0, b, return_sign)
        if result is not None:
            return result
    return definitions["logsumexp"](a, axis, b, keepdims, return_sign, where=where, out=out)


def logmeanexp(a, axis=None, keepdims=False, *, where=None, out=None):
    """Door of stablesoft.logmeanexp."""
    if _takes(a) and type(keepdims) is bool:
        result = _run(SS_LOGMEANEXP, a, axis, keepdims, where, out)
        if result is not None:
            return result
    return definitions["logmeanexp"](a, axis, keepdims, where=where, out=out)


def logcumsumexp(a, axis=None, *, reverse=False, exclusive=False, out=None):
    """Door of stablesoft.logcumsumexp."""
    cdef ss_cumulation cumulative = SS_EXCLUSIVE if exclusive is True else SS_INCLUSIVE
    if _takes(a) and type(reverse) is bool and type(exclusive) is bool and cnp.PyArray_NDIM(<cnp.ndarray> a) > 0 \
            and (type(axis) is int or axis is None and (out is None or _takes(out) and out.shape == (a.size,))):
        # axis None: the elements of `a` in C order are one row, and the result is 1-d
        shaped = out if out is None or axis is not None else out.reshape(a.shape)
        result = _run(SS_LOGSUMEXP, a, axis, False, None, shaped, 1.0, 0.0, None, False, cumulative, reverse)
        if result is not None:
            return result if axis is not None else result.reshape(-1) if out is None else out
    return definitions["logcumsumexp"](a, axis, reverse=reverse, exclusive=exclusive, out=out)


include "_losses.pxi"
include "_sigmoid_losses.pxi"
include "_pairs.pxi"
include "_margins.pxi"
include "_ufuncs.pxi"
