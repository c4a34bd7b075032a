# Doors of the softmax losses, and what all losses share. Included at the end of _native.pyx.

from libc.float cimport DBL_MAX
from libc.math cimport fabs, frexp

cdef extern from "losses.h":
    enum:
        SS_LOGITS
        SS_TARGETS
        SS_SCALES
        SS_POSITIVES
        SS_COUNTS
        SS_GRADIENT
        SS_ITEMS
        SS_OPERANDS
    ctypedef struct ss_loss:
        ss_job job
        const int64_t *labels
        const char *targets
        const double *weights
        double *items
        double smoothing, z_loss, gamma
        double scale_hi, scale_lo
    ctypedef struct ss_sigmoid:
        int ndim
        Py_ssize_t shape[64]
        Py_ssize_t strides[7][64]
        char *operands[7]
        int focal
        double alpha, gamma
        double scale_hi, scale_lo
    Py_ssize_t ss_check_labels(const int64_t *labels, Py_ssize_t n, Py_ssize_t classes, int ignores, long long ignored,
                               int64_t *rows) noexcept nogil
    void ss_run_loss(const ss_kernels *table, int type, const ss_loss *loss, Py_ssize_t rows,
                     int threads) noexcept nogil
    int ss_run_sigmoid(const ss_kernels *table, int type, const ss_sigmoid *loss, Py_ssize_t n, int threads,
                       double *hi, double *lo) noexcept nogil
    int ss_sum_values(const ss_kernels *table, const double *values, Py_ssize_t n, double *hi,
                      double *lo) noexcept nogil
    void ss_sum_weights(const double *weights, const int64_t *rows, Py_ssize_t n, double *hi, double *lo) noexcept nogil


cdef struct loss_options:
    bint ignores, weighs, mean, sums, divides  # weighs: the mean is over weights, not over rows
    long long ignored
    double smoothing, z_loss, gamma
    double factor   # of the gradient
    double divisor  # of loss and gradient where `mean`, if it `divides`; if not, what the reduction calls for
    double cap      # of one row's loss


cdef inline object _one_value(double hi, double lo, int power, double divisor, int type_num):
    """(hi + lo) 2^power / divisor in the real type, as a NumPy scalar; over nothing it is 0."""
    cdef double value = 0.0 if divisor == 0.0 else (hi + lo) / divisor
    if power:
        value = ldexp(value, power)
    return np.float64(value) if type_num == cnp.NPY_DOUBLE else np.float32(<float> value)  # C's cast does not warn


cdef inline object _rounded(const double *items, int ndim, cnp.npy_intp *shape, int type_num):
    """Items as an array of the real type in C order, or as a NumPy scalar. C's cast overflows without a warning."""
    cdef cnp.ndarray result = cnp.PyArray_EMPTY(ndim, shape, type_num, False)
    cdef void *to = cnp.PyArray_DATA(result)
    cdef Py_ssize_t k
    for k in range(cnp.PyArray_SIZE(result)):
        if type_num == cnp.NPY_DOUBLE:
            (<double *> to)[k] = items[k]
        else:
            (<float *> to)[k] = <float> items[k]
    return result[()]


cdef inline cnp.ndarray _empty_like(cnp.ndarray x):
    """In Fortran order where x is, else in C order."""
    return cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x),
                             not cnp.PyArray_IS_C_CONTIGUOUS(x) and cnp.PyArray_IS_F_CONTIGUOUS(x))


cdef inline void _quotient(double factor, double divisor, double *hi, double *lo) noexcept:
    """factor / divisor as a pair; 0 over nothing."""
    hi[0] = lo[0] = 0.0
    if divisor != 0.0:
        hi[0] = factor / divisor
        lo[0] = -fma(hi[0], divisor, -factor) / divisor


cdef void _lay_out(ss_job *job, cnp.ndarray x, int axis, cnp.ndarray gradient, cnp.ndarray targets):
    """The rows of x along `axis`, with the strides of the arrays that go with it; the targets' are those of a mask."""
    cdef Py_ssize_t size, step, step_y, step_t
    cdef int i
    job.operation = SS_CROSS_ENTROPY
    job.temperature = 1.0
    job.floor = 0.0
    job.mask = job.b = NULL
    job.sign = NULL
    job.cumulative = SS_WHOLE
    job.terms = NULL
    job.x = <const char *> cnp.PyArray_DATA(x)
    job.y = NULL if gradient is None else <char *> cnp.PyArray_DATA(gradient)
    job.rows = 1
    job.n = cnp.PyArray_DIMS(x)[axis]
    job.kept = job.reduced = 0
    for i in range(cnp.PyArray_NDIM(x)):
        size = cnp.PyArray_DIMS(x)[i]
        step = cnp.PyArray_STRIDES(x)[i]
        step_y = 0 if gradient is None else cnp.PyArray_STRIDES(gradient)[i]
        step_t = 0 if targets is None else cnp.PyArray_STRIDES(targets)[i]
        if i == axis:
            job.reduced = 1
            job.reduced_shape[0] = size
            job.reduced_x[0] = step
            job.reduced_y[0] = step_y
            job.reduced_mask[0] = step_t
        else:
            job.rows *= size
            job.kept = _append(job.kept, job.kept_shape, job.kept_x, job.kept_y, job.kept_mask, size, step, step_y,
                               step_t)
    job.stream = gradient is not None and job.rows * job.n * cnp.PyArray_ITEMSIZE(x) > STREAM_BYTES


# Beyond these a sum of weights, or a weighted loss, may leave the range of doubles although their quotient does not.
cdef double WEIGHTS_LEAST = ldexp(1.0, -400)
cdef double WEIGHTS_MOST = ldexp(1.0, 400)


cdef cnp.ndarray _rescaled(cnp.ndarray weights, const int64_t *labels, Py_ssize_t rows):
    """Weights times the power of two that brings the largest finite one of the labels to [0.5, 1)."""
    cdef const double *given = <const double *> cnp.PyArray_DATA(weights)
    cdef cnp.ndarray result = cnp.PyArray_EMPTY(1, cnp.PyArray_DIMS(weights), cnp.NPY_DOUBLE, False)
    cdef double most = 0.0
    cdef int exponent
    cdef Py_ssize_t k
    for k in range(rows):
        if labels[k] >= 0 and most < fabs(given[labels[k]]) < INFINITY:
            most = fabs(given[labels[k]])
    frexp(most, &exponent)
    for k in range(cnp.PyArray_SIZE(weights)):
        (<double *> cnp.PyArray_DATA(result))[k] = ldexp(given[k], -exponent)
    return result


cdef object _cross_entropy(cnp.ndarray x, int axis, cnp.ndarray labels, cnp.ndarray targets, cnp.ndarray weights,
                           loss_options *options, bint return_grad):
    """loss or (loss, gradient); None where a label is out of range.

    `labels` is contiguous int64 with one number a row, `weights` contiguous float64; `targets` has the shape and type
    of x.
    """
    cdef ss_loss loss
    cdef ss_job *job = &loss.job
    cdef int ndim = cnp.PyArray_NDIM(x), type_num = cnp.PyArray_TYPE(x), i, j = 0
    cdef int type_index = type_num == cnp.NPY_DOUBLE
    cdef cnp.npy_intp shape[64]
    cdef cnp.npy_intp length
    cdef cnp.ndarray gradient = _empty_like(x) if return_grad else None, scratch
    cdef double hi = 0.0, lo = 0.0, divisor = 1.0
    cdef int power
    cdef Py_ssize_t k, classes = cnp.PyArray_DIMS(x)[axis]
    for i in range(ndim):
        if i != axis:
            shape[j] = cnp.PyArray_DIMS(x)[i]
            j += 1
    _lay_out(job, x, axis, gradient, targets)
    length = 2 * job.rows
    scratch = cnp.PyArray_EMPTY(1, &length, cnp.NPY_DOUBLE, False)  # the losses, and the labels that count
    loss.items = <double *> cnp.PyArray_DATA(scratch)
    loss.labels = NULL
    loss.weights = NULL if weights is None else <double *> cnp.PyArray_DATA(weights)
    loss.targets = NULL if targets is None else <char *> cnp.PyArray_DATA(targets)
    if labels is not None:
        loss.labels = <const int64_t *> (loss.items + job.rows)
        if ss_check_labels(<const int64_t *> cnp.PyArray_DATA(labels), job.rows, classes, options.ignores,
                           options.ignored, <int64_t *> loss.labels) >= 0:
            return None
    if options.mean:
        divisor = options.divisor
        if not options.divides:
            divisor = <double> job.rows
            if labels is not None:
                ss_sum_weights(loss.weights if options.weighs else NULL, loss.labels, job.rows, &divisor, &lo)
            if labels is not None and options.weighs and weights is not None \
                    and not WEIGHTS_LEAST < fabs(divisor) < WEIGHTS_MOST:
                weights = _rescaled(weights, loss.labels, job.rows)
                loss.weights = <double *> cnp.PyArray_DATA(weights)
                ss_sum_weights(loss.weights, loss.labels, job.rows, &divisor, &lo)
                for k in range(job.rows if divisor == 0.0 else 0):
                    if loss.labels[k] >= 0 and loss.weights[loss.labels[k]] != 0.0:
                        divisor = NAN  # weights that cancel: over them there is no mean
    loss.smoothing = options.smoothing
    loss.z_loss = options.z_loss
    loss.gamma = options.gamma
    _quotient(options.factor, divisor, &loss.scale_hi, &loss.scale_lo)
    if classes == 0:
        for k in range(job.rows):
            loss.items[k] = 0.0
    elif job.rows * classes < NOGIL_ELEMENTS:
        ss_run_loss(kernels, type_index, &loss, job.rows, 1)
    else:
        with nogil:
            ss_run_loss(kernels, type_index, &loss, job.rows, ss_threads())
    if options.cap < INFINITY:
        for k in range(job.rows):
            if loss.items[k] > options.cap:
                loss.items[k] = options.cap
    if options.sums:
        power = ss_sum_values(kernels, loss.items, job.rows, &hi, &lo)
        value = _one_value(hi, lo, power, divisor, type_num)
    else:
        value = _rounded(loss.items, ndim - 1, shape, type_num)
    return (value, gradient) if return_grad else value


cdef int _reduction(object reduction, loss_options *options) except -1:
    """0 where the name is none of the three."""
    options.mean = reduction == "mean"
    options.sums = options.mean or reduction == "sum"
    return options.sums or reduction == "none"


cdef cnp.ndarray _labels_of(object labels, cnp.ndarray x, int axis):
    """Labels as contiguous int64, or None where they are not integers of the right shape."""
    cdef int i, j = 0, kind
    if not cnp.PyArray_CheckExact(labels) or cnp.PyArray_NDIM(<cnp.ndarray> labels) != cnp.PyArray_NDIM(x) - 1:
        return None
    kind = cnp.PyArray_TYPE(<cnp.ndarray> labels)
    if not cnp.PyTypeNum_ISINTEGER(kind) or kind == cnp.NPY_ULONG or kind == cnp.NPY_ULONGLONG:
        return None
    for i in range(cnp.PyArray_NDIM(x)):
        if i != axis:
            if cnp.PyArray_DIMS(<cnp.ndarray> labels)[j] != cnp.PyArray_DIMS(x)[i]:
                return None
            j += 1
    return cnp.PyArray_FROMANY(labels, cnp.NPY_INT64, 0, 0, cnp.NPY_ARRAY_CARRAY_RO)


def softmax_loss(x, int axis, labels, ignored, targets, weights, double smoothing, double z_loss, double gamma,
                 double factor, divisor, double cap, str reduction, bint weighs, bint return_grad):
    """A softmax loss from arguments in normal form: loss or (loss, gradient), None where a label is out of range."""
    cdef loss_options options
    _reduction(reduction, &options)
    options.ignores = ignored is not None
    options.ignored = 0 if ignored is None else ignored
    options.weighs = weighs
    options.smoothing = smoothing
    options.z_loss = z_loss
    options.gamma = gamma
    options.factor = factor
    options.divides = divisor is not None
    options.divisor = 1.0 if divisor is None else divisor
    options.cap = cap
    return _cross_entropy(x, axis, labels, targets, weights, &options, return_grad)


cdef inline bint _lies_in(object value, double low, double high):
    """A Python float in [low, high]."""
    return type(value) is float and low <= <double> value <= high


cdef inline cnp.ndarray _scalar(double value, int type_num):
    """A number as an array of no dimensions. C's cast does not warn."""
    cdef cnp.ndarray one = cnp.PyArray_EMPTY(0, NULL, type_num, False)
    if type_num == cnp.NPY_DOUBLE:
        (<double *> cnp.PyArray_DATA(one))[0] = value
    else:
        (<float *> cnp.PyArray_DATA(one))[0] = <float> value
    return one


cdef cnp.ndarray _class_weights(object weight, cnp.ndarray x, int axis, bint weighs):
    """Weights of x's classes as contiguous float64; one number is for all where the mean does not weigh.

    None where they are not an array in the type of x.
    """
    cdef cnp.npy_intp classes = cnp.PyArray_DIMS(x)[axis]
    cdef cnp.ndarray same
    if not weighs and _lies_in(weight, 0.0, DBL_MAX):
        same = cnp.PyArray_EMPTY(1, &classes, cnp.NPY_DOUBLE, False)
        cnp.PyArray_CopyInto(same, _scalar(weight, cnp.PyArray_TYPE(x)))
        return same
    if not _takes(weight) or cnp.PyArray_TYPE(<cnp.ndarray> weight) != cnp.PyArray_TYPE(x) \
            or cnp.PyArray_NDIM(<cnp.ndarray> weight) != 1 or cnp.PyArray_DIMS(<cnp.ndarray> weight)[0] != classes:
        return None
    return cnp.PyArray_FROMANY(weight, cnp.NPY_DOUBLE, 0, 0, cnp.NPY_ARRAY_CARRAY_RO)


cdef object _offer(object logits, object labels, object axis, object weight, object ignore_index, object reduction,
                   object return_grad, bint weighs, double smoothing, double z_loss, double gamma):
    """A call with arrays of one type, integer labels, and options of Python's types; None for every other."""
    cdef loss_options options
    cdef cnp.ndarray rows, targets = None, weights = None
    cdef Py_ssize_t place
    if not _takes(logits) or type(axis) is not int or type(return_grad) is not bool or type(reduction) is not str \
            or not _reduction(reduction, &options):
        return None
    place = axis
    if place < 0:
        place += cnp.PyArray_NDIM(<cnp.ndarray> logits)
    if place < 0 or place >= cnp.PyArray_NDIM(<cnp.ndarray> logits):
        return None
    options.ignores = ignore_index is not None
    if options.ignores:
        if type(ignore_index) is not int or not -(1 << 62) < ignore_index < 1 << 62:
            return None
        options.ignored = ignore_index
    rows = _labels_of(labels, logits, place)
    if rows is None:
        if options.ignores or not _takes(labels) or not cnp.PyArray_SAMESHAPE(labels, logits) \
                or cnp.PyArray_TYPE(<cnp.ndarray> labels) != cnp.PyArray_TYPE(<cnp.ndarray> logits):
            return None
        targets = labels
    if weight is not None:
        weights = _class_weights(weight, logits, place, weighs)
        if weights is None:
            return None
    options.weighs = weighs
    options.smoothing = smoothing
    options.z_loss = z_loss
    options.gamma = gamma
    options.factor = 1.0
    options.divides = False
    options.cap = INFINITY
    return _cross_entropy(logits, place, rows, targets, weights, &options, return_grad)


def softmax_cross_entropy(logits, labels, axis=-1, *, weight=None, ignore_index=None, label_smoothing=0.0, z_loss=0.0,
                          reduction="mean", return_grad=False):
    """Door of stablesoft.softmax_cross_entropy."""
    if _lies_in(label_smoothing, 0.0, 1.0) and _lies_in(z_loss, 0.0, DBL_MAX):
        result = _offer(logits, labels, axis, weight, ignore_index, reduction, return_grad, True, label_smoothing,
                        z_loss, 0.0)
        if result is not None:
            return result
    return definitions["softmax_cross_entropy"](
        logits, labels, axis, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing, z_loss=z_loss,
        reduction=reduction, return_grad=return_grad)


def softmax_focal_loss(logits, labels, axis=-1, *, alpha=None, gamma=2.0, ignore_index=None, reduction="mean",
                       return_grad=False):
    """Door of stablesoft.softmax_focal_loss."""
    if _lies_in(gamma, 0.0, DBL_MAX):
        result = _offer(logits, labels, axis, alpha, ignore_index, reduction, return_grad, False, 0.0, 0.0, gamma)
        if result is not None:
            return result
    return definitions["softmax_focal_loss"](logits, labels, axis, alpha=alpha, gamma=gamma, ignore_index=ignore_index,
                                             reduction=reduction, return_grad=return_grad)
