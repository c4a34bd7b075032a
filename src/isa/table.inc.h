/* SPDX-License-Identifier: BSD-3-Clause
   Included once per instruction set, after its vocabulary: the arithmetic, the loops for both real types, the table.
   The including file defines SS_ISA (the suffix of the table). */
#include "../math/pair.h"
#include "../math/words.h"
#include "../math/exp.h"
#include "../math/log.h"
#include "../math/canonical.h"
#include "../math/exact.h"
#include "../loops/sums.inc.h"

/* Rows are summed in tiles; STEP elements are in flight; terms kept for softmax lie high parts first. */
#define TILE SS_TILE
#define STEP (4 * SS_W)
#define TERMS_LOW SS_TERMS
/* Panels: CHUNK * STEP <= TILE, and no more additions per accumulator than a tile has (4096 / 4 W). A row of its own
   costs as much as some hundred elements besides them, so that shorter rows are laid across the lanes: always below
   SHORT_ROW; where all lanes are taken up to CHUNK if terms are kept (softmax), else up to LONG_ROW. */
#define CHUNK 64
#define SHORT_ROW 32
#define LONG_ROW 256
/* Blocks: a quarter of a second-level cache at most, and rows enough for runs of several lines. */
#define BLOCK_BYTES (1 << 18)
#define BLOCK_PANELS 8
#define BLOCK_AHEAD 2048 /* bytes of a block that are on their way from memory before they are read */
/* Elements that go through a buffer at a time, where loops take one operand and give another. */
#define SS_PIECE 512
#define SS_GATHER(real, to, from, step, count) \
    for (ptrdiff_t j = 0; j < (count); j++) memcpy((to) + j, (from) + j * (step), sizeof(real))
#define SS_SCATTER(real, to, step, from, count) \
    for (ptrdiff_t j = 0; j < (count); j++) memcpy((to) + j * (step), (from) + j, sizeof(real))

#include "../math/elementwise.h"
#include "../loops/loss_sums.inc.h"
#include "../loops/logistic.inc.h"
#include "../loops/items.inc.h"

#include "../math/angle.h"
#include "../loops/pairs.inc.h"
#include "../loops/products.inc.h"
#include "../loops/tangent.inc.h"
#include "../loops/combined.inc.h"

#define REAL double
#define SINGLE 0
#define FN(name) name##_f64
#include "../loops/real_f64.inc.h"
#include "../loops/rows.inc.h"
#include "../loops/loss_rows.inc.h"
#include "../loops/loss_dense.inc.h"
#include "../loops/loss_blocks.inc.h"
#include "../loops/sigmoid_wide.inc.h"
#include "../loops/sigmoid.inc.h"
#undef REAL
#undef SINGLE
#undef FN

#define REAL float
#define SINGLE 1
#define FN(name) name##_f32
#include "../loops/real_f32.inc.h"
#include "../loops/rows.inc.h"
#include "../loops/loss_rows.inc.h"
#include "../loops/loss_dense.inc.h"
#include "../loops/loss_blocks.inc.h"
#include "../loops/sigmoid_wide.inc.h"
#include "../loops/sigmoid.inc.h"
#undef REAL
#undef SINGLE
#undef FN

#include "../loops/elementwise.inc.h"
#include "../loops/margin_rows.inc.h"

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
    .losses = {losses_f32, losses_f64},
    .sigmoid = {sigmoid_f32, sigmoid_f64},
    .items = items,
    .unary = {SS_UNARY_TABLE(f32), SS_UNARY_TABLE(f64)},
    .binary = {SS_BINARY_TABLE(f32), SS_BINARY_TABLE(f64)},
    .pairs = {pairs_add, pairs_sub, pairs_mul, pairs_div, pairs_scale, pairs_sin_cos, pairs_angle, pairs_sum},
    .exponents = products_exponents,
    .cut = products_cut,
    .settle = products_settle,
    .power = margin_power,
    .norm = margin_norm,
    .direction = margin_direction,
    .tangent = margin_tangent,
    .margin_rows = margin_rows,
    .reached = margin_reached,
    .combined = margin_combined,
};
