/* SPDX-License-Identifier: BSD-3-Clause
   Loops of the elementwise functions over src/math/elementwise.h. Contiguous data goes straight through, the end of it
   and any other layout through a small buffer: every element meets the same arithmetic, in whatever lane. */


/* Lanes that cancelled, once more in as many bits as it takes. */
static inline vd ss_mend(vd a, vd b, vd value, vm cancelled, int single, double (*ladder)(double, double, int))
{
    int lanes = v_bits(cancelled);
    if (!lanes) return value;
    double x1[SS_W], x2[SS_W], y[SS_W];
    v_store(x1, a);
    v_store(x2, b);
    v_store(y, value);
    for (int i = 0; i < SS_W; i++)
        if (lanes >> i & 1 && isfinite(y[i])) y[i] = ladder(x1[i], x2[i], single);
    return v_load(y);
}

#define SS_RUN(name, type, real) \
    static void name##_run_##type(const real *x, real *y, ptrdiff_t n) /* n: whole vectors */ \
    { \
        for (ptrdiff_t i = 0; i < n; i += SS_W) store_##type(y + i, name##_of_##type(load_##type(x + i))); \
    }

static void expit_run_f32(const float *x, float *y, ptrdiff_t n)
{
    enum { BESIDE = BESIDE_f32 };
    vd value[BESIDE];
    ptrdiff_t i = 0;
    for (; i + BESIDE * SS_W <= n; i += BESIDE * SS_W) {
        for (int j = 0; j < BESIDE; j++) value[j] = v_load_f32(x + i + j * SS_W);
        expits_of_f32(value, BESIDE, value);
        for (int j = 0; j < BESIDE; j++) v_store_f32(y + i + j * SS_W, value[j]);
    }
    for (; i < n; i += SS_W) {
        value[0] = v_load_f32(x + i);
        expits_of_f32(value, 1, value);
        v_store_f32(y + i, value[0]);
    }
}

#define SS_UNARY(name, type, real) \
    static void name##_##type(const char *x, ptrdiff_t sx, char *y, ptrdiff_t sy, ptrdiff_t n) \
    { \
        real buffer[SS_PIECE]; \
        if (sx == (ptrdiff_t)sizeof(real) && sy == (ptrdiff_t)sizeof(real)) { \
            const ptrdiff_t whole = n - n % SS_W; \
            name##_run_##type((const real *)x, (real *)y, whole); \
            x += whole * sx; \
            y += whole * sy; \
            n -= whole; \
        } \
        for (ptrdiff_t count; n > 0; n -= count, x += count * sx, y += count * sy) { \
            count = n < SS_PIECE ? n : SS_PIECE; \
            SS_GATHER(real, buffer, x, sx, count); \
            ptrdiff_t padded = count; \
            while (padded % SS_W) buffer[padded++] = 0; \
            name##_run_##type(buffer, buffer, padded); \
            SS_SCATTER(real, y, sy, buffer, count); \
        } \
    }

/* Where the result is written over arguments yet to be read (reduce and accumulate of a ufunc), one at a time. */
#define SS_BINARY(name, type, real) \
    static void name##_run_##type(const real *a, const real *b, real *y, ptrdiff_t n) \
    { \
        for (ptrdiff_t i = 0; i < n; i += SS_W) { \
            vm cancelled; \
            vd x1 = load_##type(a + i), x2 = load_##type(b + i), value = name##_of_##type(x1, x2, &cancelled); \
            store_##type(y + i, ss_mend(x1, x2, value, cancelled, sizeof(real) == 4, ss_ladder_##name)); \
        } \
    } \
    static void name##_##type(const char *a, ptrdiff_t sa, const char *b, ptrdiff_t sb, char *y, ptrdiff_t sy, \
                              ptrdiff_t n) \
    { \
        real first[SS_PIECE], second[SS_PIECE]; \
        const ptrdiff_t size = (ptrdiff_t)sizeof(real); \
        const ptrdiff_t most = ss_feeds_itself(a, sa, y, sy, n) || ss_feeds_itself(b, sb, y, sy, n) ? 1 : SS_PIECE; \
        if (sa == size && sb == size && sy == size && most > 1) { \
            const ptrdiff_t whole = n - n % SS_W; \
            name##_run_##type((const real *)a, (const real *)b, (real *)y, whole); \
            a += whole * size; \
            b += whole * size; \
            y += whole * size; \
            n -= whole; \
        } \
        for (ptrdiff_t count; n > 0; n -= count, a += count * sa, b += count * sb, y += count * sy) { \
            count = n < most ? n : most; \
            SS_GATHER(real, first, a, sa, count); \
            SS_GATHER(real, second, b, sb, count); \
            ptrdiff_t padded = count; \
            for (; padded % SS_W; padded++) first[padded] = second[padded] = 0; \
            name##_run_##type(first, second, first, padded); \
            SS_SCATTER(real, y, sy, first, count); \
        } \
    }

static int ss_feeds_itself(const char *x, ptrdiff_t sx, const char *y, ptrdiff_t sy, ptrdiff_t n)
{
    if (x == y && sx == sy && sy != 0) return 0;
    const char *x_low = sx < 0 ? x + (n - 1) * sx : x, *x_high = sx < 0 ? x : x + (n - 1) * sx;
    const char *y_low = sy < 0 ? y + (n - 1) * sy : y, *y_high = sy < 0 ? y : y + (n - 1) * sy;
    return x_low <= y_high + 7 && y_low <= x_high + 7; /* at most 8 bytes an element */
}

#define SS_BOTH(kind, name) kind(name, f32, float) kind(name, f64, double)

SS_RUN(expit, f64, double)
SS_BOTH(SS_RUN, log_expit)
SS_BOTH(SS_RUN, softplus)
SS_BOTH(SS_RUN, logit)
SS_BOTH(SS_RUN, log1mexp)
SS_BOTH(SS_UNARY, expit)
SS_BOTH(SS_UNARY, log_expit)
SS_BOTH(SS_UNARY, softplus)
SS_BOTH(SS_UNARY, logit)
SS_BOTH(SS_UNARY, log1mexp)
SS_BOTH(SS_BINARY, logaddexp)
SS_BOTH(SS_BINARY, logsubexp)

#define SS_UNARY_TABLE(type) {expit_##type, log_expit_##type, softplus_##type, logit_##type, log1mexp_##type}
#define SS_BINARY_TABLE(type) {logaddexp_##type, logsubexp_##type}
