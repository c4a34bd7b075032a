/* SPDX-License-Identifier: BSD-3-Clause
   The threads that share a row: LANES neighbours within a warp, or with LANES = 0 all threads of a block. Every function is
   called by all of them, and gives all of them the same value, bit for bit: `join` is commutative. */

enum { SS_WARP = 32, SS_BLOCK = 128 }; /* threads of a block that holds several groups */

template <class T> static inline T from_lane_xor(unsigned mask, T value, int step)
{
    unsigned word[sizeof(T) / 4];
    memcpy(word, &value, sizeof(T));
#pragma unroll
    for (int i = 0; i < (int)(sizeof(T) / 4); i++) word[i] = __shfl_xor_sync(mask, word[i], step);
    memcpy(&value, word, sizeof(T));
    return value;
}

template <int LANES> struct group {
    enum { SLOTS = SS_BLOCK / LANES };
    static inline int slot() { return threadIdx.x / LANES; }
    static inline int rank() { return threadIdx.x % LANES; }
    static inline int size() { return LANES; }
    static inline int64_t row() { return (int64_t)blockIdx.x * SLOTS + slot(); }
    static inline unsigned mask()
    {
        return LANES == SS_WARP ? ~0u : ((1u << LANES % SS_WARP) - 1) << threadIdx.x % SS_WARP / LANES * LANES;
    }
    static inline void sync() { __syncwarp(mask()); }

    template <class T, class F> static inline T reduce(T value, F join)
    {
#pragma unroll
        for (int step = LANES / 2; step; step /= 2) value = join(value, from_lane_xor(mask(), value, step));
        return value;
    }

    /* 1 where `flag`, which only the first warp of the group needs to know, is set. */
    static inline int told(int flag) { return flag; }
};

template <> struct group<0> {
    enum { SLOTS = 1 };
    static inline int slot() { return 0; }
    static inline int rank() { return threadIdx.x; }
    static inline int size() { return blockDim.x; }
    static inline int64_t row() { return blockIdx.x; }
    static inline void sync() { __syncthreads(); }

    template <class T, class F> static inline T reduce(T value, F join)
    {
        __shared__ unsigned char slots[SS_WARP * sizeof(T)];
        value = group<SS_WARP>::reduce(value, join);
        if (threadIdx.x % SS_WARP == 0) memcpy(slots + threadIdx.x / SS_WARP * sizeof(T), &value, sizeof(T));
        __syncthreads();
        memcpy(&value, slots, sizeof(T));
        for (unsigned warp = 1; warp < blockDim.x / SS_WARP; warp++) {
            T other;
            memcpy(&other, slots + warp * sizeof(T), sizeof(T));
            value = join(value, other);
        }
        __syncthreads();
        return value;
    }

    static inline int told(int flag) { return __syncthreads_or(flag); }
};

/* Calls f in each thread that wants it, one after the other: what it uses is shared by the block. For all threads. */
template <class F> static inline void one_at_a_time(int wanted, F f)
{
    __shared__ unsigned turn;
    while (__syncthreads_or(wanted)) {
        if (threadIdx.x == 0) turn = ~0u;
        __syncthreads();
        if (wanted) atomicMin(&turn, (unsigned)threadIdx.x);
        __syncthreads();
        if (threadIdx.x == turn) {
            f();
            wanted = 0;
        }
    }
}
