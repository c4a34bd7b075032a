/* SPDX-License-Identifier: BSD-3-Clause
   What the loops of C and the kernels of CUDA agree on. */
#ifndef SS_OPERATIONS_H
#define SS_OPERATIONS_H

enum ss_operation { SS_SOFTMAX, SS_LOG_SOFTMAX, SS_LOGSUMEXP, SS_LOGMEANEXP };

/* Above this magnitude x - peak is reduced instead of x: exact, because what matters lies within a factor 2 of the
   peak. */
#define SS_HUGE 0x1p45

#endif
