/* SPDX-License-Identifier: BSD-3-Clause
   System headers and constants, included before any instruction set is switched on. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../ladder.h"
#include "../losses.h"
#include "../margins.h"
#include "../math/constants.h"
#include "../math/total.h"
