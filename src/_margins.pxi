# Steps of the margin losses. Included at the end of _native.pyx, after _pairs.pxi.

cdef extern from "margins.h":
    ctypedef struct ss_cut:
        const double *hi
        const double *lo
        Py_ssize_t row, step, length, width, start
        int levels, right
        double *pieces
        double *exponent
    ctypedef struct ss_settled:
        const double *parts[3]
        const double *left
        const double *right
        Py_ssize_t left_row, right_row, length, m
        int levels, first, last
        const double *left_exponent
        const double *right_exponent
        double *hi
        double *lo
    ctypedef struct ss_lengths:
        const double *v_hi
        const double *v_lo
        Py_ssize_t length
        double *hi
        double *lo
        double *unit_hi
        double *unit_lo
    ctypedef struct ss_tangent:
        const double *v_hi
        const double *v_lo
        const double *rows
        const double *norm_hi
        const double *norm_lo
        const double *target_hi
        const double *target_lo
        const double *factor_hi
        const double *factor_lo
        const double *outer
        const int64_t *target
        Py_ssize_t length
        double *result_hi
        double *result_lo
    ctypedef struct ss_margin_rows:
        double *hi
        double *lo
        const int64_t *labels
        Py_ssize_t n
        double *items
        double *others
    ctypedef struct ss_reached:
        const double *values
        const double *left
        const double *right
        Py_ssize_t n
        char *any
    ctypedef struct ss_combined:
        const double *c_hi
        const double *c_lo
        const double *v_hi
        const double *v_lo
        Py_ssize_t terms, length
        double *hi
        double *lo
    ctypedef struct ss_sizes:
        const double *values
        const double *left
        const double *right
        Py_ssize_t n, m, extras
        const int64_t *row
        const int64_t *column
        const double *in_row
        const double *in_column
        double *row_sums
        double *row_peaks
        double *column_sums
        double *column_peaks
        double *row_steps
        double *column_steps
    void ss_term_sizes(const ss_sizes *job) noexcept nogil
    void ss_class_sums(const double *hi, const double *lo, const int64_t *labels, Py_ssize_t n, Py_ssize_t length,
                       const double *power, Py_ssize_t classes, double terms, double *words, double *sums_hi,
                       double *sums_lo) noexcept nogil
    void ss_margin_others(const double *hi, const double *lo, const int64_t *labels, Py_ssize_t rows, Py_ssize_t n,
                          int lift, double *others_hi, double *others_lo) noexcept nogil


cdef cnp.ndarray _matrix(Py_ssize_t rows, Py_ssize_t columns):
    cdef cnp.npy_intp[2] shape
    shape[0] = rows
    shape[1] = columns
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, False)


cdef class Operand:
    """One side of a matrix product: rows (N, K), or, if they lie `across`, columns (K, N)."""

    cdef readonly cnp.ndarray pieces, exponent
    cdef cnp.ndarray hi, lo
    cdef ss_cut job

    def __init__(self, Pair rows, int levels, Py_ssize_t width, bint right, bint across):
        cdef Py_ssize_t n
        self.hi = cnp.PyArray_GETCONTIGUOUS(rows.hi)
        self.lo = cnp.PyArray_GETCONTIGUOUS(rows.lo)
        n = cnp.PyArray_DIMS(self.hi)[across]
        self.pieces = _matrix(n, width * (2 * levels - 1 if right else levels))
        self.exponent = np.empty(n)
        self.job.hi = <double *> cnp.PyArray_DATA(self.hi)
        self.job.lo = <double *> cnp.PyArray_DATA(self.lo) if levels > 1 and cnp.PyArray_NDIM(self.lo) else NULL
        self.job.length = cnp.PyArray_DIMS(self.hi)[1 - across]
        self.job.row = 1 if across else self.job.length
        self.job.step = n if across else 1
        self.job.width = width
        self.job.levels = levels
        self.job.right = right
        self.job.pieces = <double *> cnp.PyArray_DATA(self.pieces)
        self.job.exponent = <double *> cnp.PyArray_DATA(self.exponent)
        _run_loop(kernels.exponents, &self.job, n, n * self.job.length)

    def cut(self, Py_ssize_t start):
        """The pieces of the block that begins there; they are overwritten by those of the next."""
        cdef Py_ssize_t n = cnp.PyArray_DIMS(self.exponent)[0]
        self.job.start = start
        _run_loop(kernels.cut, &self.job, n, n * self.job.width)
        return self.pieces


cdef Pair _column(cnp.ndarray rows, ss_lengths *job):
    """Room for the lengths (N, 1) of rows (N, K)."""
    cdef Pair result = empty_pairs(cnp.PyArray_DIMS(rows)[0], 1, True)
    job.v_hi = <double *> cnp.PyArray_DATA(rows)
    job.length = cnp.PyArray_DIMS(rows)[1]
    job.hi = <double *> cnp.PyArray_DATA(result.hi)
    job.lo = <double *> cnp.PyArray_DATA(result.lo)
    return result


def row_power(rows):
    """The power of two above the largest entry of each row, as far as it can be inverted; 1 for zeros. (N, 1)"""
    cdef ss_lengths job
    cdef cnp.ndarray whole = cnp.PyArray_GETCONTIGUOUS(rows)
    cdef Pair result = _column(whole, &job)
    _run_loop(kernels.power, &job, cnp.PyArray_DIMS(whole)[0], cnp.PyArray_SIZE(whole))
    return result.hi


def norm(cnp.ndarray rows):
    """The lengths (N, 1) of contiguous rows (N, K)."""
    cdef ss_lengths job
    cdef Pair result = _column(rows, &job)
    _run_loop(kernels.norm, &job, cnp.PyArray_DIMS(rows)[0], cnp.PyArray_SIZE(rows))
    return result


def direction(Pair v):
    """Unit vectors along the rows of v, 0 for 0, and the rows' lengths."""
    cdef ss_lengths job
    cdef Pair norm = _column(v.hi, &job), unit = empty_pairs(cnp.PyArray_DIMS(v.hi)[0], cnp.PyArray_DIMS(v.hi)[1], True)
    job.v_lo = <double *> cnp.PyArray_DATA(v.lo)
    job.unit_hi = <double *> cnp.PyArray_DATA(unit.hi)
    job.unit_lo = <double *> cnp.PyArray_DATA(unit.lo)
    _run_loop(kernels.direction, &job, cnp.PyArray_DIMS(v.hi)[0], cnp.PyArray_SIZE(v.hi))
    return unit, norm


cdef cnp.ndarray _tangent(Pair v, cnp.ndarray rows, Pair norm, ss_tangent *job, double *low):
    """Runs a job whose target, factor and outer are set."""
    cdef Py_ssize_t n = cnp.PyArray_DIMS(rows)[0]
    cdef cnp.ndarray result = _matrix(n, cnp.PyArray_DIMS(rows)[1])
    job.length = cnp.PyArray_DIMS(rows)[1]
    job.v_hi = <double *> cnp.PyArray_DATA(v.hi)
    job.v_lo = <double *> cnp.PyArray_DATA(v.lo) if cnp.PyArray_NDIM(v.lo) else NULL
    job.rows = <double *> cnp.PyArray_DATA(rows)
    job.norm_hi = <double *> cnp.PyArray_DATA(norm.hi)
    job.norm_lo = <double *> cnp.PyArray_DATA(norm.lo)
    job.result_hi = <double *> cnp.PyArray_DATA(result)
    job.result_lo = low
    _run_loop(kernels.tangent, job, n, n * job.length)
    return result


def perpendicular(Pair v, cnp.ndarray rows, Pair norm):
    """The part of v (N, K) that is perpendicular to the rows of length `norm`."""
    cdef ss_tangent job
    cdef Pair result = Pair.__new__(Pair)
    memset(&job, 0, sizeof(job))
    result.lo = _matrix(cnp.PyArray_DIMS(rows)[0], cnp.PyArray_DIMS(rows)[1])
    result.hi = _tangent(v, rows, norm, &job, <double *> cnp.PyArray_DATA(result.lo))
    return result


def tangent(Pair v, Pair target, cnp.ndarray place, cnp.ndarray rows, Pair norm, Pair factor, cnp.ndarray outer):
    """That plus target[place], where `place` is not negative, times factor and outer, (N, 1): an array."""
    cdef ss_tangent job
    job.target = <int64_t *> cnp.PyArray_DATA(place)
    job.target_hi = <double *> cnp.PyArray_DATA(target.hi)
    job.target_lo = <double *> cnp.PyArray_DATA(target.lo)
    job.factor_hi = <double *> cnp.PyArray_DATA(factor.hi)
    job.factor_lo = <double *> cnp.PyArray_DATA(factor.lo)
    job.outer = <double *> cnp.PyArray_DATA(outer)
    return _tangent(v, rows, norm, &job, NULL)


def settle(list parts, cnp.ndarray left, cnp.ndarray right, Pair sums, bint first, cnp.ndarray left_exponent,
           cnp.ndarray right_exponent):
    """Add one block to the sums. `parts` are the products of each level, of which the last is left @ right.T; exponents
    are given with the last block only."""
    cdef ss_settled job
    cdef Py_ssize_t n = cnp.PyArray_DIMS(sums.hi)[0]
    cdef int k
    job.levels = len(parts)
    for k in range(job.levels):
        job.parts[k] = <double *> cnp.PyArray_DATA(<cnp.ndarray> parts[k])
    job.left = <double *> cnp.PyArray_DATA(left)
    job.right = <double *> cnp.PyArray_DATA(right)
    job.left_row = cnp.PyArray_STRIDES(left)[0] // <Py_ssize_t> sizeof(double)
    job.right_row = cnp.PyArray_STRIDES(right)[0] // <Py_ssize_t> sizeof(double)
    job.length = cnp.PyArray_DIMS(left)[1]
    job.m = cnp.PyArray_DIMS(sums.hi)[1]
    job.first = first
    job.last = left_exponent is not None
    if job.last:
        job.left_exponent = <double *> cnp.PyArray_DATA(left_exponent)
        job.right_exponent = <double *> cnp.PyArray_DATA(right_exponent)
    job.hi = <double *> cnp.PyArray_DATA(sums.hi)
    job.lo = <double *> cnp.PyArray_DATA(sums.lo) if job.levels > 1 else NULL
    _run_loop(kernels.settle, &job, n, n * job.m)


def empty_pairs(Py_ssize_t rows, Py_ssize_t columns, bint low):
    """A pair of (rows, columns) to be filled, without low parts if so wished."""
    cdef Pair result = Pair.__new__(Pair)
    result.hi = _matrix(rows, columns)
    result.lo = _matrix(rows, columns) if low else _zero
    return result


cdef Pair _whole(Pair a):
    """With contiguous parts of one shape."""
    cdef Pair result = Pair.__new__(Pair)
    result.hi = cnp.PyArray_GETCONTIGUOUS(a.hi)
    result.lo = cnp.PyArray_GETCONTIGUOUS(a.lo) if cnp.PyArray_NDIM(a.lo) else np.zeros_like(result.hi)
    return result


def margin_rows(Pair logits, cnp.ndarray labels, bint return_grad):
    """-log p of the label of each row, and the gradient with 0 in its place (or None). Overwrites the logits."""
    cdef ss_margin_rows job
    cdef Py_ssize_t n = cnp.PyArray_DIMS(logits.hi)[0]
    cdef bint paired = cnp.PyArray_NDIM(logits.lo) != 0
    cdef cnp.ndarray items = np.empty(n), others = None
    job.n = cnp.PyArray_DIMS(logits.hi)[1]
    if return_grad or paired:
        others = _matrix(n, job.n)
    job.hi = <double *> cnp.PyArray_DATA(logits.hi)
    job.lo = <double *> cnp.PyArray_DATA(logits.lo) if paired else NULL
    job.labels = <const int64_t *> cnp.PyArray_DATA(labels)
    job.items = <double *> cnp.PyArray_DATA(items)
    job.others = NULL if others is None else <double *> cnp.PyArray_DATA(others)
    _run_loop(kernels.margin_rows, &job, n, n * job.n)
    return items, others


def reached(cnp.ndarray values, cnp.ndarray left, cnp.ndarray right):
    """Rows of (N, C) in which a number is at least left (N,) times right (C,) in magnitude."""
    cdef ss_reached job
    cdef Py_ssize_t n = cnp.PyArray_DIMS(values)[0]
    cdef cnp.ndarray any_of = np.empty(n, dtype=np.bool_)
    job.values = <double *> cnp.PyArray_DATA(values)
    job.left = <double *> cnp.PyArray_DATA(left)
    job.right = <double *> cnp.PyArray_DATA(right)
    job.n = cnp.PyArray_DIMS(values)[1]
    job.any = <char *> cnp.PyArray_DATA(any_of)
    _run_loop(kernels.reached, &job, n, n * job.n)
    return np.flatnonzero(any_of)


def class_sums(Pair rows, cnp.ndarray labels, cnp.ndarray power, double terms):
    """Sums of rows (N, K) by label, (classes, K); see ss_class_sums."""
    cdef Py_ssize_t n = cnp.PyArray_DIMS(rows.hi)[0], length = cnp.PyArray_DIMS(rows.hi)[1]
    cdef Py_ssize_t classes = cnp.PyArray_DIMS(power)[0]
    cdef Pair sums = empty_pairs(classes, length, True)
    cdef cnp.ndarray words = np.zeros((classes, length, 3))
    with nogil:
        ss_class_sums(<double *> cnp.PyArray_DATA(rows.hi), <const double *> cnp.PyArray_DATA(rows.lo),
                      <const int64_t *> cnp.PyArray_DATA(labels), n, length,
                      <double *> cnp.PyArray_DATA(power), classes, terms, <double *> cnp.PyArray_DATA(words),
                      <double *> cnp.PyArray_DATA(sums.hi), <double *> cnp.PyArray_DATA(sums.lo))
    return sums


def combined(Pair coefficients, Pair vectors):
    """Rows of coefficients (N, M) times vectors (M, K), good to 2^-95 of the largest of the M terms, in any order."""
    cdef ss_combined job
    cdef Pair c = _whole(coefficients), v = _whole(vectors)
    cdef Py_ssize_t n = cnp.PyArray_DIMS(c.hi)[0]
    cdef Pair result
    job.terms = cnp.PyArray_DIMS(v.hi)[0]
    job.length = cnp.PyArray_DIMS(v.hi)[1]
    result = empty_pairs(n, job.length, True)
    job.c_hi = <double *> cnp.PyArray_DATA(c.hi)
    job.c_lo = <double *> cnp.PyArray_DATA(c.lo)
    job.v_hi = <double *> cnp.PyArray_DATA(v.hi)
    job.v_lo = <double *> cnp.PyArray_DATA(v.lo)
    job.hi = <double *> cnp.PyArray_DATA(result.hi)
    job.lo = <double *> cnp.PyArray_DATA(result.lo)
    _run_loop(kernels.combined, &job, n, n * job.terms * job.length)
    return result


def softmax_others(Pair logits, cnp.ndarray labels, int lift):
    """Softmax of the rows times 2^lift, 0 at the labels, as pairs."""
    cdef Pair z = _whole(logits)
    cdef Py_ssize_t n = cnp.PyArray_DIMS(z.hi)[0], classes = cnp.PyArray_DIMS(z.hi)[1]
    cdef Pair others = empty_pairs(n, classes, True)
    with nogil:
        ss_margin_others(<double *> cnp.PyArray_DATA(z.hi), <double *> cnp.PyArray_DATA(z.lo),
                         <int64_t *> cnp.PyArray_DATA(labels), n, classes, lift,
                         <double *> cnp.PyArray_DATA(others.hi), <double *> cnp.PyArray_DATA(others.lo))
    return others


def term_sizes(cnp.ndarray values, cnp.ndarray left, cnp.ndarray right, cnp.ndarray row, cnp.ndarray column,
               cnp.ndarray in_row, cnp.ndarray in_column):
    """Sums and peaks of the terms in the rows, (2, N), and columns, (2, C), from contiguous doubles and integers.

    The terms are values (N, C), not negative, times `right` (C,) in a row and times `left` (N,) in a column; further
    ones stand in `row` and `column` and count there as `in_row` and `in_column`.
    """
    cdef ss_sizes job
    cdef cnp.ndarray rows, columns
    job.n = cnp.PyArray_DIMS(values)[0]
    job.m = cnp.PyArray_DIMS(values)[1]
    job.extras = cnp.PyArray_DIMS(row)[0]
    rows = _matrix(3, job.n)
    columns = _matrix(4, job.m)
    job.values = <double *> cnp.PyArray_DATA(values)
    job.left = <double *> cnp.PyArray_DATA(left)
    job.right = <double *> cnp.PyArray_DATA(right)
    job.row = <int64_t *> cnp.PyArray_DATA(row)
    job.column = <int64_t *> cnp.PyArray_DATA(column)
    job.in_row = <double *> cnp.PyArray_DATA(in_row)
    job.in_column = <double *> cnp.PyArray_DATA(in_column)
    job.row_sums = <double *> cnp.PyArray_DATA(rows)
    job.row_peaks = job.row_sums + job.n
    job.row_steps = job.row_peaks + job.n
    job.column_sums = <double *> cnp.PyArray_DATA(columns)
    job.column_peaks = job.column_sums + job.m
    job.column_steps = job.column_peaks + job.m
    with nogil:
        ss_term_sizes(&job)
    return rows[:2], columns[:2]
