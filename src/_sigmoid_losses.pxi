# Doors of the losses of single logits. Included after _losses.pxi.

cdef inline Py_ssize_t _step(cnp.ndarray one, int dimension):
    """Bytes from an element to the next; an array of no dimensions stands for all."""
    return cnp.PyArray_STRIDES(one)[dimension] if cnp.PyArray_NDIM(one) else 0


cdef void _collapse(ss_sigmoid *loss, cnp.ndarray logits, tuple operands):
    """The arrays, None where not given, over as few dimensions as their strides allow."""
    cdef int i, j, k
    cdef cnp.npy_intp size
    cdef bint joins
    cdef cnp.ndarray one
    loss.ndim = 1
    loss.shape[0] = 1
    for j in range(SS_OPERANDS):
        one = operands[j]
        loss.operands[j] = NULL if one is None else <char *> cnp.PyArray_DATA(one)
        loss.strides[j][0] = 0
    for i in range(cnp.PyArray_NDIM(logits)):
        size = cnp.PyArray_DIMS(logits)[i]
        if size == 1:
            continue
        k = loss.ndim - 1
        joins = True
        for j in range(SS_OPERANDS):
            one = operands[j]
            if one is not None:
                joins = joins and loss.strides[j][k] == _step(one, i) * size
        if not joins and loss.shape[k] != 1:  # the first dimension takes the place of the empty one
            k += 1
            loss.ndim += 1
            loss.shape[k] = 1
        loss.shape[k] *= size
        for j in range(SS_OPERANDS):
            one = operands[j]
            if one is not None:
                loss.strides[j][k] = _step(one, i)


def sigmoid_loss(x, targets, weights, positives, counts, bint focal, double alpha, double gamma, double factor,
                 double divisor, str reduction, bint return_grad):
    """A sigmoid loss from arguments in normal form: arrays of one shape and type, any strides, None where not given.

    Weights may also have no dimensions. `counts` is boolean; `divisor` is that of a mean.
    """
    cdef ss_sigmoid loss
    cdef loss_options options
    cdef cnp.ndarray logits = x, gradient = None, items = None
    cdef int ndim = cnp.PyArray_NDIM(logits), type_num = cnp.PyArray_TYPE(logits)
    cdef int type_index = type_num == cnp.NPY_DOUBLE
    cdef Py_ssize_t size = cnp.PyArray_SIZE(logits)
    cdef double hi = 0.0, lo = 0.0
    cdef int power
    _reduction(reduction, &options)
    if not options.mean:
        divisor = 1.0
    if return_grad:
        gradient = _empty_like(logits)
    if not options.sums:
        items = cnp.PyArray_EMPTY(ndim, cnp.PyArray_DIMS(logits), type_num, False)
    _collapse(&loss, logits, (logits, targets, weights, positives, counts, gradient, items))
    loss.focal = focal
    loss.alpha = alpha
    loss.gamma = gamma
    _quotient(factor, divisor, &loss.scale_hi, &loss.scale_lo)
    if size < NOGIL_ELEMENTS:
        power = ss_run_sigmoid(kernels, type_index, &loss, size, 1, &hi if options.sums else NULL, &lo)
    else:
        with nogil:
            power = ss_run_sigmoid(kernels, type_index, &loss, size, ss_threads(), &hi if options.sums else NULL, &lo)
    value = _one_value(hi, lo, power, divisor, type_num) if options.sums else items[()]
    return (value, gradient) if return_grad else value


cdef object _operand(object value, cnp.ndarray logits):
    """An array of the logits' type in their shape, None, or a float as an array of no dimensions; else False."""
    if value is None:
        return None
    if type(value) is float:
        return _scalar(value, cnp.PyArray_TYPE(logits))
    if not _takes(value) or cnp.PyArray_TYPE(<cnp.ndarray> value) != cnp.PyArray_TYPE(logits):
        return False
    if cnp.PyArray_SAMESHAPE(value, logits):
        return value
    try:
        return np.broadcast_to(value, (<object> logits).shape)
    except ValueError:
        return False


cdef object _offer_sigmoid(object logits, object targets, object weight, object positive, object reduction,
                           object return_grad, bint focal, double alpha, double gamma):
    """A call with arrays of one shape and type, and weights that are such arrays or floats; None for every other."""
    cdef loss_options options
    if not _takes(logits) or not _takes(targets) or type(return_grad) is not bool or type(reduction) is not str \
            or not _reduction(reduction, &options) \
            or cnp.PyArray_TYPE(<cnp.ndarray> logits) != cnp.PyArray_TYPE(<cnp.ndarray> targets) \
            or not cnp.PyArray_SAMESHAPE(logits, targets):
        return None
    weight, positive = _operand(weight, logits), _operand(positive, logits)
    if weight is False or positive is False:
        return None
    return sigmoid_loss(logits, targets, weight, positive, None, focal, alpha, gamma, 1.0,
                        <double> cnp.PyArray_SIZE(logits), reduction, return_grad)


def sigmoid_cross_entropy(logits, targets, *, weight=None, pos_weight=None, reduction="mean", return_grad=False):
    """Door of stablesoft.sigmoid_cross_entropy."""
    result = _offer_sigmoid(logits, targets, weight, pos_weight, reduction, return_grad, False, NAN, 0.0)
    if result is not None:
        return result
    return definitions["sigmoid_cross_entropy"](logits, targets, weight=weight, pos_weight=pos_weight,
                                                reduction=reduction, return_grad=return_grad)


def sigmoid_focal_loss(logits, targets, *, alpha=None, gamma=2.0, reduction="mean", return_grad=False):
    """Door of stablesoft.sigmoid_focal_loss."""
    if _lies_in(gamma, 0.0, DBL_MAX) and (alpha is None or _lies_in(alpha, 0.0, 1.0)):
        result = _offer_sigmoid(logits, targets, None, None, reduction, return_grad, True,
                                NAN if alpha is None else alpha, gamma)
        if result is not None:
            return result
    return definitions["sigmoid_focal_loss"](logits, targets, alpha=alpha, gamma=gamma, reduction=reduction,
                                             return_grad=return_grad)
