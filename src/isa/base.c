/* SPDX-License-Identifier: BSD-3-Clause */
#include "../kernels.h"
#include "prelude.h"
#define SS_ISA base
#include "vec_base.h"
#include "table.inc.h"
