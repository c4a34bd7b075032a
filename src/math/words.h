/* SPDX-License-Identifier: BSD-3-Clause
   Sums of pairs that the order of the terms does not change. On a grid known from the largest term each term is cut
   into three words, and words of one kind are added without a rounding. */
#ifndef SS_MATH_WORDS_H
#define SS_MATH_WORDS_H

enum { SS_WORDS = 3 };

/* Added and taken off again, they round to the steps of each word. */
typedef struct {
    vd magic[SS_WORDS];
} ss_grid;

/* How many bits a word may have if so many are to be added: a sum stays below 2^52 steps. */
static inline int ss_word_bits(double terms)
{
    int bits = 50;
    while (bits > 20 && ldexp(terms, bits) > 0x1p52) bits--;
    return bits;
}

/* For terms of at most a power of two, which should be above 2^-800: a step of the last word has to be a number. */
static inline ss_grid ss_grid_below(vd power, int bits)
{
    ss_grid grid;
    for (int k = 0; k < SS_WORDS; k++) grid.magic[k] = v_mul(power, v_set1(ldexp(1.5, 52 - (k + 1) * bits)));
    return grid;
}

/* Exact to 2^-(3 bits) of the power. */
static inline void ss_grid_add(const ss_grid *grid, vpair term, vd *words)
{
    const vd first = v_sub(v_add(term.hi, grid->magic[0]), grid->magic[0]);
    const vpair rest = ss_two_sum(v_sub(term.hi, first), term.lo);
    const vd second = v_sub(v_add(rest.hi, grid->magic[1]), grid->magic[1]);
    const vd last = v_add(v_sub(rest.hi, second), rest.lo);
    words[0] = v_add(words[0], first);
    words[1] = v_add(words[1], second);
    words[2] = v_add(words[2], v_sub(v_add(last, grid->magic[2]), grid->magic[2]));
}

static inline vpair ss_words_sum(const vd *words)
{
    const vpair sum = ss_two_sum(words[0], words[1]), more = ss_two_sum(sum.hi, words[2]);
    return ss_two_sum(more.hi, v_add(more.lo, sum.lo));
}

#endif
