# Pairs of doubles for the margin losses. Included at the end of _native.pyx.

cdef extern from "margins.h":
    enum:
        SS_PAIR_ADD
        SS_PAIR_SUB
        SS_PAIR_MUL
        SS_PAIR_DIV
        SS_PAIR_SCALE
        SS_PAIR_SIN_COS
        SS_PAIR_ANGLE
        SS_PAIR_SUM
    ctypedef struct ss_pairs:
        const double *operand[4]
        Py_ssize_t row[4]
        Py_ssize_t step[4]
        Py_ssize_t n
        double *hi[2]
        double *lo[2]
        int halvings
    void ss_run_loop(ss_loop loop, const void *job, Py_ssize_t rows) noexcept nogil

cdef cnp.ndarray _zero = np.zeros(())


cdef _run_loop(ss_loop loop, const void *job, Py_ssize_t rows, Py_ssize_t elements):
    if elements < NOGIL_ELEMENTS:
        ss_run_loop(loop, job, rows)
    else:
        with nogil:
            ss_run_loop(loop, job, rows)


cdef inline cnp.ndarray _doubles(object values):
    """An array of doubles whose elements along a row are neighbours, or one for all."""
    cdef cnp.ndarray array = cnp.PyArray_FROMANY(values, cnp.NPY_DOUBLE, 0, 2,
                                                 cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_NOTSWAPPED)
    cdef int last = cnp.PyArray_NDIM(array) - 1
    if last >= 0 and cnp.PyArray_DIMS(array)[last] > 1 and cnp.PyArray_STRIDES(array)[last] != sizeof(double):
        return cnp.PyArray_FROMANY(array, cnp.NPY_DOUBLE, 0, 2, cnp.NPY_ARRAY_CARRAY_RO)
    return array


cdef class Pair:
    """Numbers as unevaluated sums hi + lo of two arrays of doubles of at most two dimensions, about 104 bits.

    A cosine that is off by 2^-53 puts a logit of scale 64 off by 64 ulp of 1, and the gradient with it; a pair leaves
    that far below the last digit. Only correctly rounded operations are used, so that a pair has the same bits on every
    machine. `lo` has the shape of `hi`, or is one 0 for all. Operands should be scaled to about 1.
    """

    cdef readonly cnp.ndarray hi, lo

    __array_ufunc__ = None  # array * Pair is left to Pair.__rmul__

    def __init__(self, hi, lo=None):
        self.hi = _doubles(hi)
        self.lo = _zero if lo is None else _doubles(lo)

    @property
    def shape(self):
        return (<object> self.hi).shape

    def __getitem__(self, key):
        return Pair(self.hi[key], self.lo[key] if cnp.PyArray_NDIM(self.lo) else None)

    def __setitem__(self, key, double value):
        self.hi[key] = value
        if cnp.PyArray_NDIM(self.lo):
            self.lo[key] = 0.0

    @property
    def T(self):
        return Pair(self.hi.T, self.lo.T)

    def __neg__(self):
        return Pair(-self.hi, -self.lo)

    def __abs__(self):
        return self.scaled(np.where(self.hi < 0.0, -1.0, 1.0))

    def __add__(self, other):
        return _operate(SS_PAIR_ADD, self, _pair(other), 0, None)

    def __sub__(self, other):
        return _operate(SS_PAIR_SUB, self, _pair(other), 0, None)

    def __mul__(self, other):
        return _operate(SS_PAIR_MUL, self, _pair(other), 0, None)

    def __truediv__(self, other):
        return _operate(SS_PAIR_DIV, self, _pair(other), 0, None)

    def __radd__(self, other):
        return _operate(SS_PAIR_ADD, _pair(other), self, 0, None)

    def __rsub__(self, other):
        return _operate(SS_PAIR_SUB, _pair(other), self, 0, None)

    def __rmul__(self, other):
        return _operate(SS_PAIR_MUL, _pair(other), self, 0, None)

    def __rtruediv__(self, other):
        return _operate(SS_PAIR_DIV, _pair(other), self, 0, None)

    def scaled(self, power):
        """Times a power of two."""
        return _operate(SS_PAIR_SCALE, self, Pair(power), 0, None)

    def sum(self):
        """Along the last axis, which is kept; always in the same order."""
        return _operate(SS_PAIR_SUM, self, self, 0, None)

    def sin_cos(self, double limit):
        """Sine and cosine of |angle| <= limit, to about 2^-90 while the limit stays below 4."""
        cdef Pair cosine = Pair.__new__(Pair)
        cdef int exponent
        frexp(limit, &exponent)
        return _operate(SS_PAIR_SIN_COS, self, self, max(0, 4 + exponent), cosine), cosine

    def angle(self, cosine):
        """The angle in [0, pi] of which this is the sine."""
        return _operate(SS_PAIR_ANGLE, self, _pair(cosine), 0, None)


cdef inline Pair _pair(object value):
    return <Pair> value if type(value) is Pair else Pair(value)


cdef inline bint _spread(int ndim, cnp.npy_intp *shape, cnp.ndarray array) except -1:
    """Let `shape`, of ndim dimensions, grow to that of the array."""
    cdef int k, most = cnp.PyArray_NDIM(array)
    cdef cnp.npy_intp size
    for k in range(most):
        size = cnp.PyArray_DIMS(array)[k]
        if shape[ndim - most + k] == 1:
            shape[ndim - most + k] = size
        elif size != 1 and size != shape[ndim - most + k]:
            raise ValueError("shapes of pairs do not fit")
    return True


cdef inline void _place(ss_pairs *job, int k, cnp.ndarray array) noexcept:
    cdef int last = cnp.PyArray_NDIM(array) - 1
    job.operand[k] = <const double *> cnp.PyArray_DATA(array)
    job.step[k] = last >= 0 and cnp.PyArray_DIMS(array)[last] > 1
    job.row[k] = 0
    if last == 1 and cnp.PyArray_DIMS(array)[0] > 1:
        job.row[k] = cnp.PyArray_STRIDES(array)[0] // <Py_ssize_t> sizeof(double)


cdef inline bint _in_a_row(ss_pairs *job, int k) noexcept:
    """The rows of an operand follow one another without a gap, or one number stands for all."""
    return job.row[k] == job.n * job.step[k] and job.n > 1


cdef Pair _operate(int operation, Pair a, Pair b, int halvings, Pair second):
    """The result of an operation; another one is put in `second`."""
    cdef ss_pairs job
    cdef Pair result = Pair.__new__(Pair)
    cdef int ndim = max(cnp.PyArray_NDIM(a.hi), cnp.PyArray_NDIM(b.hi)), k
    cdef cnp.npy_intp[2] shape
    cdef Py_ssize_t rows
    shape[0] = shape[1] = 1
    _spread(ndim, shape, a.hi)
    _spread(ndim, shape, b.hi)
    rows = shape[0] if ndim == 2 else 1
    job.n = shape[ndim - 1] if ndim else 1
    job.halvings = halvings
    _place(&job, 0, a.hi)
    _place(&job, 1, a.lo)
    _place(&job, 2, b.hi)
    _place(&job, 3, b.lo)
    if operation == SS_PAIR_SUM:
        if ndim:
            shape[ndim - 1] = 1
    elif _in_a_row(&job, 0) and _in_a_row(&job, 1) and _in_a_row(&job, 2) and _in_a_row(&job, 3):
        job.n *= rows
        rows = 1
    elif job.n == 1 and job.row[0] < 2 and job.row[1] < 2 and job.row[2] < 2 and job.row[3] < 2:
        # numbers that stand below one another are a row
        job.n = rows
        rows = 1
        for k in range(4):
            job.step[k] = job.row[k]
    result.hi = cnp.PyArray_EMPTY(ndim, shape, cnp.NPY_DOUBLE, False)
    result.lo = cnp.PyArray_EMPTY(ndim, shape, cnp.NPY_DOUBLE, False)
    job.hi[0] = <double *> cnp.PyArray_DATA(result.hi)
    job.lo[0] = <double *> cnp.PyArray_DATA(result.lo)
    if second is not None:
        second.hi = cnp.PyArray_EMPTY(ndim, shape, cnp.NPY_DOUBLE, False)
        second.lo = cnp.PyArray_EMPTY(ndim, shape, cnp.NPY_DOUBLE, False)
        job.hi[1] = <double *> cnp.PyArray_DATA(second.hi)
        job.lo[1] = <double *> cnp.PyArray_DATA(second.lo)
    _run_loop(kernels.pairs[operation], &job, rows, rows * job.n)
    return result
