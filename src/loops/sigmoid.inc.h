/* SPDX-License-Identifier: BSD-3-Clause
   Losses of logits against targets, element by element, in pieces of SS_PIECE: read and written where they lie, or by
   buffers where they are not contiguous. Included once per real type. */

#ifndef SS_SIGMOID_RUNS
#define SS_SIGMOID_RUNS
/* Where element `first` of an operand lies, and how many, `most` at most, follow it at one step. */
static char *ss_run_of(const ss_sigmoid *loss, int operand, ptrdiff_t first, ptrdiff_t most, ptrdiff_t *step,
                       ptrdiff_t *count)
{
    char *at = loss->operands[operand];
    const int last = loss->ndim - 1;
    ptrdiff_t rest = first;
    *step = loss->strides[operand][last];
    *count = loss->shape[last] - first % loss->shape[last];
    if (*count > most) *count = most;
    for (int d = last; d >= 0; d--) {
        at += rest % loss->shape[d] * loss->strides[operand][d];
        rest /= loss->shape[d];
    }
    return at;
}

/* Negative where t is outside [0, 1]. */
static inline vd ss_room(vd t) { return v_min(t, v_sub(v_set1(1.0), t)); }
#endif

/* n elements of an operand, and room for whole steps: where they lie, or a copy. */
static const REAL *FN(sigmoid_read)(const ss_sigmoid *loss, int operand, ptrdiff_t first, ptrdiff_t n, REAL *buffer)
{
    for (ptrdiff_t done = 0, count, step; done < n; done += count) {
        const char *from = ss_run_of(loss, operand, first + done, n - done, &step, &count);
        const int straight = step == (ptrdiff_t)sizeof(REAL) && (uintptr_t)from % sizeof(REAL) == 0;
        if (straight && count == n && n % STEP == 0) return (const REAL *)from;
        SS_GATHER(REAL, buffer + done, from, step, count);
    }
    for (ptrdiff_t i = n; i < n + STEP; i++) buffer[i] = 0;
    return buffer;
}

/* Where n results are to go: to their place, or by a buffer, from which sigmoid_write takes them. */
static REAL *FN(sigmoid_place)(const ss_sigmoid *loss, int operand, ptrdiff_t first, ptrdiff_t n, REAL *buffer)
{
    ptrdiff_t step, count;
    char *to = ss_run_of(loss, operand, first, n, &step, &count);
    return step == (ptrdiff_t)sizeof(REAL) && count == n && n % STEP == 0 ? (REAL *)to : buffer; /* new, so aligned */
}

static void FN(sigmoid_write)(const ss_sigmoid *loss, int operand, ptrdiff_t first, ptrdiff_t n, const REAL *from)
{
    for (ptrdiff_t done = 0, count, step; done < n; done += count) {
        char *to = ss_run_of(loss, operand, first + done, n - done, &step, &count);
        if (to == (const char *)from) return;
        SS_SCATTER(REAL, to, step, from + done, count);
    }
}

/* Elements that do not count have neither loss nor slope, whatever came out for them. `slopes` may be NULL. */
static void FN(sigmoid_leave_out)(const ss_sigmoid *loss, ptrdiff_t first, ptrdiff_t n, double *items, REAL *slopes)
{
    for (ptrdiff_t done = 0, count, step; done < n; done += count) {
        const char *counts = ss_run_of(loss, SS_COUNTS, first + done, n - done, &step, &count);
        for (ptrdiff_t i = done; i < done + count; i++, counts += step) {
            if (*counts) continue;
            items[i] = 0.0;
            if (slopes) slopes[i] = 0;
        }
    }
}

/* A piece of n elements, read where it lies; `items` has room for whole steps, and so has `slopes`. */
typedef struct {
    ptrdiff_t n;
    const REAL *x, *t, *weight, *positive;
    double *items;
    REAL *slopes;
} FN(piece);

/* Returns 0 where some element is not plain, and all is to be done by sigmoid_any. `wanted`, a constant: slopes are. */
static SS_INLINE int FN(sigmoid_plain)(const ss_sigmoid *loss, const FN(piece) *at, int wanted)
{
    enum { BESIDE = SS_W == 8 ? 4 : 2 }; /* as many vectors as keep the processor busy */
    const vpair scale = ss_pair_set(loss->scale_hi, loss->scale_lo);
    vd least = v_set1(0.0), largest = v_set1(0.0);
    for (ptrdiff_t i = 0; i < at->n; i += BESIDE * SS_W) {
        vd x[BESIDE], t[BESIDE];
        ss_logistic s[BESIDE];
        for (int j = 0; j < BESIDE; j++) x[j] = FN(load)(at->x + i + j * SS_W);
        for (int j = 0; j < BESIDE; j++) t[j] = FN(load)(at->t + i + j * SS_W);
        FN(logistic)(x, BESIDE, 0, s);
        for (int j = 0; j < BESIDE; j++) {
            v_store(at->items + i + j * SS_W, FN(plain_loss)(s + j, x[j], t[j]));
            if (wanted) FN(store)(at->slopes + i + j * SS_W, FN(plain_slope)(s + j, x[j], t[j], scale));
            largest = v_max(ss_abs(x[j]), largest); /* NaN comes out as NaN */
            least = v_min(ss_room(t[j]), least);
        }
    }
    return !v_bits(v_lt(least, v_set1(0.0))) && !v_bits(v_lt(v_set1(FN(PLAIN)), largest));
}

/* Any elements, weights too. Plain ones get the same bits. `focal` is a constant. */
static SS_INLINE void FN(sigmoid_any)(const ss_sigmoid *loss, const FN(piece) *at, int focal)
{
    const vpair scale = ss_pair_set(loss->scale_hi, loss->scale_lo);
    const vd zero = v_set1(0.0), one = v_set1(1.0);
    for (ptrdiff_t i = 0; i < at->n; i += SS_W) {
        const vd x = FN(load)(at->x + i), t = FN(load)(at->t + i);
        const vd w = FN(load)(at->weight + i), positive = FN(load)(at->positive + i);
        const vd none = v_sub(one, t), some = v_mul(t, positive);
        const vpair by = focal ? ss_pair_of(one) /* a product loses the sign of a 0 */
                               : ss_pair_select(v_eq(w, one), scale, ss_pair_mul(scale, ss_pair_of(w)));
        ss_logistic s;
        FN(logistic)(&x, 1, 1, &s);
        vd item = FN(logistic_loss)(&s, x, none, some), slope = FN(logistic_slope)(&s, x, none, some, by);
        if (focal) {
            ss_focus(&s, FN(larger)(&s), x, t, loss->alpha, loss->gamma, &item, &slope);
            slope = v_mul(slope, scale.hi);
        } else {
            const vd room = v_select(v_lt(v_set1(FN(PLAIN)), ss_abs(x)), v_set1(-1.0), ss_room(t));
            const vm special = v_lt(v_select(v_eq(positive, one), room, v_set1(-1.0)), zero);
            item = v_select(special, item, FN(plain_loss)(&s, x, t));
            slope = v_select(special, slope, FN(plain_slope)(&s, x, t, by));
        }
        v_store(at->items + i, ss_part(w, item));
        if (at->slopes) FN(store)(at->slopes + i, v_select(v_eq(w, zero), zero, slope));
    }
}

static ss_partial FN(sigmoid)(const ss_sigmoid *loss, ptrdiff_t first, ptrdiff_t last, ss_total *exact)
{
    _Alignas(64) REAL x[SS_PIECE + STEP], t[SS_PIECE + STEP], weight[SS_PIECE + STEP], positive[SS_PIECE + STEP];
    _Alignas(64) REAL results[SS_PIECE + STEP];
    _Alignas(64) double items[SS_PIECE + STEP];
    const int wanted = loss->operands[SS_GRADIENT] != NULL;
    const int given = loss->focal || loss->operands[SS_SCALES] || loss->operands[SS_POSITIVES];
    FN(piece) at = {0, NULL, NULL, weight, positive, items, NULL};
    ss_lanes sum;
    ss_lanes_start(&sum);
    for (ptrdiff_t i = 0; i < SS_PIECE + STEP; i++) weight[i] = positive[i] = 1;
    for (ptrdiff_t i = first; i < last; i += SS_PIECE) {
        const ptrdiff_t n = at.n = last - i < SS_PIECE ? last - i : SS_PIECE;
        at.x = FN(sigmoid_read)(loss, SS_LOGITS, i, n, x);
        at.t = FN(sigmoid_read)(loss, SS_TARGETS, i, n, t);
        if (loss->operands[SS_SCALES]) at.weight = FN(sigmoid_read)(loss, SS_SCALES, i, n, weight);
        if (loss->operands[SS_POSITIVES]) at.positive = FN(sigmoid_read)(loss, SS_POSITIVES, i, n, positive);
        if (wanted) at.slopes = FN(sigmoid_place)(loss, SS_GRADIENT, i, n, results);
        const int done = !given && (wanted ? FN(sigmoid_plain)(loss, &at, 1) : FN(sigmoid_plain)(loss, &at, 0));
        if (!done && loss->focal)
            FN(sigmoid_any)(loss, &at, 1);
        else if (!done)
            FN(sigmoid_any)(loss, &at, 0);
        if (given) FN(sigmoid_anew)(loss, n, at.x, at.t, at.weight, at.positive, items, at.slopes);
        if (loss->operands[SS_COUNTS]) FN(sigmoid_leave_out)(loss, i, n, items, at.slopes);
        if (wanted) FN(sigmoid_write)(loss, SS_GRADIENT, i, n, at.slopes);
        ss_lanes_add(&sum, items, n);
        for (ptrdiff_t j = 0; j < n && exact; j++) ss_total_add(exact, items[j]);
        if (loss->operands[SS_ITEMS]) {
            for (ptrdiff_t j = 0; j < n; j++) results[j] = (REAL)items[j];
            FN(sigmoid_write)(loss, SS_ITEMS, i, n, results);
        }
    }
    return ss_lanes_end(&sum);
}
