# The elementwise functions as NumPy ufuncs. Included at the end of _native.pyx, where `kernels` has been chosen.

cdef extern from "elementwise.h":
    void ss_elementwise_use(const ss_kernels *)
    void ss_loop1_q(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop1_Q(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop1_e(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop1_f(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop1_d(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop1_g(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop2_q(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop2_Q(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop2_e(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop2_f(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop2_d(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil
    void ss_loop2_g(char **, const cnp.npy_intp *, const cnp.npy_intp *, void *) noexcept nogil

cnp.import_ufunc()

# NumPy takes the first loop that an argument casts to safely: int64 comes first, so that every narrower integer and
# bool become float64 as well. NumPy keeps pointers to all of these arrays.
cdef cnp.PyUFuncGenericFunction[6] _loops1
cdef cnp.PyUFuncGenericFunction[6] _loops2
cdef char[12] _types1
cdef char[18] _types2
cdef void *_places[30]  # 6 for each of at most 5 functions
cdef list _names = []


cdef _fill_tables():
    cdef int i
    cdef int[6] takes
    takes[0] = cnp.NPY_LONGLONG
    takes[1] = cnp.NPY_ULONGLONG
    takes[2] = cnp.NPY_FLOAT16
    takes[3] = cnp.NPY_FLOAT
    takes[4] = cnp.NPY_DOUBLE
    takes[5] = cnp.NPY_LONGDOUBLE
    _loops1[0] = <cnp.PyUFuncGenericFunction> ss_loop1_q
    _loops1[1] = <cnp.PyUFuncGenericFunction> ss_loop1_Q
    _loops1[2] = <cnp.PyUFuncGenericFunction> ss_loop1_e
    _loops1[3] = <cnp.PyUFuncGenericFunction> ss_loop1_f
    _loops1[4] = <cnp.PyUFuncGenericFunction> ss_loop1_d
    _loops1[5] = <cnp.PyUFuncGenericFunction> ss_loop1_g
    _loops2[0] = <cnp.PyUFuncGenericFunction> ss_loop2_q
    _loops2[1] = <cnp.PyUFuncGenericFunction> ss_loop2_Q
    _loops2[2] = <cnp.PyUFuncGenericFunction> ss_loop2_e
    _loops2[3] = <cnp.PyUFuncGenericFunction> ss_loop2_f
    _loops2[4] = <cnp.PyUFuncGenericFunction> ss_loop2_d
    _loops2[5] = <cnp.PyUFuncGenericFunction> ss_loop2_g
    for i in range(6):
        _types1[2 * i] = _types2[3 * i] = _types2[3 * i + 1] = <char> takes[i]
        _types1[2 * i + 1] = _types2[3 * i + 2] = <char> takes[4 if i < 2 else i]


cdef _ufunc(str name, int arguments, Py_ssize_t place):
    cdef int i
    cdef bytes c_name = name.encode()
    _names.append(c_name)  # NumPy keeps the pointer to the name, too
    for i in range(6):
        _places[6 * place + i] = <void *> place
    if arguments == 1:
        return cnp.PyUFunc_FromFuncAndData(_loops1, &_places[6 * place], _types1, 6, 1, 1, cnp.PyUFunc_None,
                                           <char *> c_name, NULL, 0)
    return cnp.PyUFunc_FromFuncAndData(_loops2, &_places[6 * place], _types2, 6, 2, 1, cnp.PyUFunc_None,
                                       <char *> c_name, NULL, 0)


def _ufuncs():
    """The ufuncs by name; the places are those of kernels.h."""
    ss_elementwise_use(kernels)
    _fill_tables()
    found = {}
    for place, name in enumerate(("expit", "log_expit", "softplus", "logit", "log1mexp")):
        found[name] = _ufunc(name, 1, place)
    for place, name in enumerate(("logaddexp", "logsubexp")):
        found[name] = _ufunc(name, 2, place)
    return found


ufuncs = _ufuncs()
