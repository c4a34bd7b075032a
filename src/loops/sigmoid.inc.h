/* SPDX-License-Identifier: BSD-3-Clause
   Losses of logits against targets, element by element: pieces of SS_PIECE elements come into buffers of doubles,
   whatever their layout, and leave by buffers. Included once per real type. */

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

/* Elements that do not count have neither loss nor slope, whatever came out for them. */
static void ss_leave_out(const ss_sigmoid *loss, ptrdiff_t first, ptrdiff_t n, double *losses, double *slopes)
{
    for (ptrdiff_t done = 0, count, step; done < n; done += count) {
        const char *counts = ss_run_of(loss, SS_COUNTS, first + done, n - done, &step, &count);
        for (ptrdiff_t i = 0; i < count; i++) {
            losses[done + i] = counts[i * step] ? losses[done + i] : 0.0;
            slopes[done + i] = counts[i * step] ? slopes[done + i] : 0.0;
        }
    }
}
#endif

static void FN(sigmoid_read)(const ss_sigmoid *loss, int operand, ptrdiff_t first, ptrdiff_t n, double *to)
{
    for (ptrdiff_t done = 0, count, step; done < n; done += count) {
        const char *from = ss_run_of(loss, operand, first + done, n - done, &step, &count);
        REAL values[SS_PIECE];
        if (step != (ptrdiff_t)sizeof(REAL)) {
            SS_GATHER(REAL, values, from, step, count);
            from = (const char *)values;
        }
        for (ptrdiff_t i = 0; i < count; i++) {
            REAL value; /* a copy, since an array need not be aligned */
            memcpy(&value, from + i * (ptrdiff_t)sizeof(REAL), sizeof value);
            to[done + i] = (double)value;
        }
    }
    for (ptrdiff_t i = n; i < n + STEP; i++) to[i] = 0.0;
}

static void FN(sigmoid_write)(const ss_sigmoid *loss, int operand, ptrdiff_t first, ptrdiff_t n, const double *from)
{
    for (ptrdiff_t done = 0, count, step; done < n; done += count) {
        char *to = ss_run_of(loss, operand, first + done, n - done, &step, &count);
        REAL values[SS_PIECE], *results = step == (ptrdiff_t)sizeof(REAL) ? (REAL *)to : values; /* new, so aligned */
        for (ptrdiff_t i = 0; i < count; i++) results[i] = (REAL)from[done + i];
        if (results == values) SS_SCATTER(REAL, to, step, values, count);
    }
}

/* Losses take the place of the logits x, and slopes that of the targets t. Constants: `given`, there are weights;
   `wanted`, a gradient is; `focal`. */
static SS_INLINE void FN(sigmoid_piece)(const ss_sigmoid *loss, ptrdiff_t n, int given, int wanted, int focal,
                                        double *x, double *t, const double *weight, const double *positive)
{
    enum { BESIDE = FN(BESIDE) };
    const vpair scale = ss_pair_set(loss->scale_hi, loss->scale_lo);
    const vd zero = v_set1(0.0), one = v_set1(1.0);
    for (ptrdiff_t i = 0; i < n; i += BESIDE * SS_W) {
        vd logit[BESIDE];
        ss_logistic s[BESIDE];
        for (int j = 0; j < BESIDE; j++) logit[j] = v_load(x + i + j * SS_W);
        FN(logistics)(logit, BESIDE, s);
        for (int j = 0; j < BESIDE; j++) {
            const ptrdiff_t at = i + j * SS_W;
            const vd target = v_load(t + at), w = given ? v_load(weight + at) : one, none = v_sub(one, target);
            const vd some = given ? v_mul(target, v_load(positive + at)) : target;
            vd item = FN(logistic_loss)(&s[j], logit[j], none, some), slope = one;
            if (wanted) {
                const vpair by = focal ? ss_pair_of(one) : given ? ss_pair_mul(scale, ss_pair_of(w)) : scale;
                slope = FN(logistic_slope)(&s[j], logit[j], none, some, by);
            }
            if (focal) {
                ss_focus(&s[j], logit[j], target, loss->alpha, loss->gamma, &item, &slope);
                slope = v_mul(slope, scale.hi);
            }
            v_store(x + at, given ? ss_part(w, item) : item);
            if (wanted) v_store(t + at, given ? v_select(v_eq(w, zero), zero, slope) : slope);
        }
    }
}

static ss_partial FN(sigmoid)(const ss_sigmoid *loss, ptrdiff_t first, ptrdiff_t last, ss_total *exact)
{
    _Alignas(64) double x[SS_PIECE + STEP], t[SS_PIECE + STEP], weight[SS_PIECE + STEP], positive[SS_PIECE + STEP];
    const int wanted = loss->operands[SS_GRADIENT] != NULL;
    const int given = loss->operands[SS_SCALES] || loss->operands[SS_POSITIVES];
    ss_lanes sum;
    ss_lanes_start(&sum);
    for (ptrdiff_t i = 0; i < SS_PIECE + STEP; i++) weight[i] = positive[i] = 1.0;
    for (ptrdiff_t at = first; at < last; at += SS_PIECE) {
        const ptrdiff_t n = last - at < SS_PIECE ? last - at : SS_PIECE;
        FN(sigmoid_read)(loss, SS_LOGITS, at, n, x);
        FN(sigmoid_read)(loss, SS_TARGETS, at, n, t);
        if (loss->operands[SS_SCALES]) FN(sigmoid_read)(loss, SS_SCALES, at, n, weight);
        if (loss->operands[SS_POSITIVES]) FN(sigmoid_read)(loss, SS_POSITIVES, at, n, positive);
        if (loss->focal)
            FN(sigmoid_piece)(loss, n, 1, 1, 1, x, t, weight, positive);
        else if (given)
            FN(sigmoid_piece)(loss, n, 1, 1, 0, x, t, weight, positive);
        else if (wanted)
            FN(sigmoid_piece)(loss, n, 0, 1, 0, x, t, weight, positive);
        else
            FN(sigmoid_piece)(loss, n, 0, 0, 0, x, t, weight, positive);
        if (loss->operands[SS_COUNTS]) ss_leave_out(loss, at, n, x, t);
        ss_lanes_add(&sum, x, n);
        for (ptrdiff_t i = 0; i < n && exact; i++) ss_total_add(exact, x[i]);
        if (loss->operands[SS_ITEMS]) FN(sigmoid_write)(loss, SS_ITEMS, at, n, x);
        if (wanted) FN(sigmoid_write)(loss, SS_GRADIENT, at, n, t);
    }
    return ss_lanes_end(&sum);
}
