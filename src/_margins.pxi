# Steps of the margin losses. Included at the end of _native.pyx, after _pairs.pxi.

cdef extern from "margins.h":
    enum:
        SS_MOST_LEVELS
    ctypedef struct ss_cut:
        const double *hi
        const double *lo
        Py_ssize_t hi_row, lo_row, length, blocks, width
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
    void ss_class_sums(const double *hi, const double *lo, const int64_t *labels, Py_ssize_t n, Py_ssize_t length,
                       const double *power, Py_ssize_t classes, int bits, double *sums_hi, double *sums_lo) noexcept nogil


cdef cnp.ndarray _matrix(Py_ssize_t rows, Py_ssize_t columns):
    cdef cnp.npy_intp[2] shape
    shape[0] = rows
    shape[1] = columns
    return cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, False)


def cut(Pair rows, int levels, Py_ssize_t blocks, Py_ssize_t width, bint right):
    """The pieces of rows (N, K) that go to BLAS, block after block (loops/products.inc.h), and the rows' exponents."""
    cdef ss_cut job
    cdef Py_ssize_t n = cnp.PyArray_DIMS(rows.hi)[0]
    cdef bint whole = cnp.PyArray_NDIM(rows.lo) == 0
    cdef cnp.ndarray pieces = _matrix(n, blocks * width * (2 * levels - 1 if right else levels))
    cdef cnp.ndarray exponent = np.empty(n)
    job.hi = <double *> cnp.PyArray_DATA(rows.hi)
    job.lo = NULL if whole else <double *> cnp.PyArray_DATA(rows.lo)
    job.hi_row = cnp.PyArray_STRIDES(rows.hi)[0] // <Py_ssize_t> sizeof(double)
    job.lo_row = 0 if whole else cnp.PyArray_STRIDES(rows.lo)[0] // <Py_ssize_t> sizeof(double)
    job.length = cnp.PyArray_DIMS(rows.hi)[1]
    job.blocks = blocks
    job.width = width
    job.levels = levels
    job.right = right
    job.pieces = <double *> cnp.PyArray_DATA(pieces)
    job.exponent = <double *> cnp.PyArray_DATA(exponent)
    _run_loop(kernels.cut, &job, n, n * blocks * width)
    return pieces, exponent


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


def class_sums(Pair rows, cnp.ndarray labels, cnp.ndarray power, int bits):
    """Sums of rows (N, K) by label, (classes, K); see ss_class_sums."""
    cdef Py_ssize_t n = cnp.PyArray_DIMS(rows.hi)[0], length = cnp.PyArray_DIMS(rows.hi)[1]
    cdef Py_ssize_t classes = cnp.PyArray_DIMS(power)[0]
    cdef Pair sums = Pair.__new__(Pair)
    sums.hi = np.zeros((classes, length))
    sums.lo = np.zeros((classes, length))
    with nogil:
        ss_class_sums(<double *> cnp.PyArray_DATA(rows.hi), <const double *> cnp.PyArray_DATA(rows.lo),
                      <const int64_t *> cnp.PyArray_DATA(labels), n, length,
                      <double *> cnp.PyArray_DATA(power), classes, bits,
                      <double *> cnp.PyArray_DATA(sums.hi), <double *> cnp.PyArray_DATA(sums.lo))
    return sums
