/* SPDX-License-Identifier: BSD-3-Clause
   Inner loops for NumPy's ufuncs: ss_loop1_* of one argument, ss_loop2_* of two, named by NumPy's type letters.
   `data` is the function's place in the tables of kernels.h. */
#ifndef SS_ELEMENTWISE_H
#define SS_ELEMENTWISE_H

#include "kernels.h"

void ss_elementwise_use(const ss_kernels *kernels);

#define SS_LOOPS(letter) \
    void ss_loop1_##letter(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data); \
    void ss_loop2_##letter(char **args, const ptrdiff_t *n, const ptrdiff_t *steps, void *data);
SS_LOOPS(q)
SS_LOOPS(Q)
SS_LOOPS(e)
SS_LOOPS(f)
SS_LOOPS(d)
SS_LOOPS(g)
#undef SS_LOOPS

#endif
