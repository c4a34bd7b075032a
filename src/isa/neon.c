/* SPDX-License-Identifier: BSD-3-Clause */
#include "../kernels.h"
#if SS_HAVE_NEON
#include "prelude.h"
#include <arm_neon.h>
#define SS_ISA neon
#include "vec_neon.h"
#include "table.inc.h"
#else
typedef int ss_no_neon; /* a translation unit may not be empty */
#endif
