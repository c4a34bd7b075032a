/* SPDX-License-Identifier: BSD-3-Clause
   Included once per instruction set, after its vocabulary: the arithmetic, the loops for both real types, the table.
   The including file defines SS_ISA (the suffix of the table). */
#include "../math/pair.h"
#include "../math/exp.h"
#include "../math/log.h"
#include "../math/canonical.h"
#include "../math/exact.h"
#include "../loops/sums.inc.h"

/* Rows are summed in tiles; STEP elements are in flight; terms kept for softmax lie high parts first. */
#define TILE 4096
#define STEP (4 * SS_W)
#define TERMS_LOW (TILE + STEP)
/* Panels: CHUNK * STEP <= TILE, and no more additions per accumulator than a tile has (4096 / 4 W). Rows shorter than
   SHORT_ROW are laid across the lanes, where a row of its own would leave most of them idle. */
#define CHUNK 64
#define SHORT_ROW 32
#define PANEL_AHEAD 1 /* panels of neighbouring rows are fetched this far before they are read */

#define REAL double
#define SINGLE 0
#define FN(name) name##_f64
#include "../loops/real_f64.inc.h"
#include "../loops/rows.inc.h"
#undef REAL
#undef SINGLE
#undef FN

#define REAL float
#define SINGLE 1
#define FN(name) name##_f32
#include "../loops/real_f32.inc.h"
#include "../loops/rows.inc.h"
#undef REAL
#undef SINGLE
#undef FN

#include "../math/elementwise.h"
#include "../loops/elementwise.inc.h"

#define SS_PASTE(a, b) a##b
#define SS_TABLE(isa) SS_PASTE(ss_kernels_, isa)
#define SS_TEXT(a) #a
#define SS_NAME(isa) SS_TEXT(isa)

const ss_kernels SS_TABLE(SS_ISA) = {
    .name = SS_NAME(SS_ISA),
    .rows = {rows_f32, rows_f64},
    .part = {part_f32, part_f64},
    .merge = {merge_f32, merge_f64},
    .conclude = {conclude_f32, conclude_f64},
    .write = {write_f32, write_f64},
    .unary = {SS_UNARY_TABLE(f32), SS_UNARY_TABLE(f64)},
    .binary = {SS_BINARY_TABLE(f32), SS_BINARY_TABLE(f64)},
};
