/* SPDX-License-Identifier: BSD-3-Clause
   The threads that share a row: LANES neighbours within a warp; all threads of a block (WHOLE_BLOCK); or those with
   the same threadIdx.x (COLUMN), whose neighbours in x have neighbouring rows. Every function is called by all of
   them, and gives all of them the same value, bit for bit: `join` is commutative. Where groups of a block wait
   together (COLUMN), they must decide together: `any` of them. */

enum { SS_WARP = 32, SS_BLOCK = 128 }; /* threads of a block that holds several groups of a warp or less */
enum { SS_MOST_THREADS = 512, SS_MOST_COLUMNS = 128 };
enum { SS_COLUMN_THREADS = 256 }; /* of a block of columns: two blocks have to fit into 64 KiB, all that Turing has */
enum { WHOLE_BLOCK = 0, COLUMN = -1 };

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
    enum { SLOTS = SS_BLOCK / LANES, JOINS = 5 }; /* joins: what a value goes through in reduce, at most */
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

    static inline int any(int flag) { return flag; }
    template <class T> static inline T from_first(T value) { return value; }
};

template <> struct group<WHOLE_BLOCK> {
    enum { SLOTS = 1, JOINS = 5 + SS_MOST_THREADS / SS_WARP };
    static inline int slot() { return 0; }
    static inline int rank() { return threadIdx.x; }
    static inline int size() { return blockDim.x; }
    static inline int width() { return 1; } /* rows of a block */
    static inline int64_t row_in(int64_t block) { return block; }
    static inline int64_t row() { return row_in(blockIdx.x); }
    static inline void sync() { __syncthreads(); }

    template <class T, class F> static inline T reduce(T value, F join)
    {
        __shared__ __align__(16) unsigned char slots[SS_WARP * sizeof(T)];
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

    static inline int any(int flag) { return flag; }

    /* What the first thread has, where only the first warp knows it. */
    template <class T> static inline T from_first(T value)
    {
        __shared__ __align__(16) unsigned char slot[sizeof(T)];
        if (threadIdx.x == 0) memcpy(slot, &value, sizeof(T));
        __syncthreads();
        memcpy(&value, slot, sizeof(T));
        return value;
    }
};

template <> struct group<COLUMN> {
    enum { SLOTS = SS_MOST_COLUMNS };
    static inline int slot() { return threadIdx.x; }
    static inline int rank() { return threadIdx.y; }
    static inline int size() { return blockDim.y; }
    static inline int width() { return blockDim.x; }
    static inline int64_t row_in(int64_t block) { return block * blockDim.x + threadIdx.x; }
    static inline int64_t row() { return row_in(blockIdx.x); }
    static inline void sync() { __syncthreads(); }

    template <class T, class F> static inline T reduce(T value, F join)
    {
        __shared__ __align__(16) unsigned char slots[SS_COLUMN_THREADS * sizeof(T)];
        if (blockDim.y == 1) return value;
        memcpy(slots + (threadIdx.y * blockDim.x + threadIdx.x) * sizeof(T), &value, sizeof(T));
        __syncthreads();
        memcpy(&value, slots + threadIdx.x * sizeof(T), sizeof(T));
        for (unsigned y = 1; y < blockDim.y; y++) {
            T other;
            memcpy(&other, slots + (y * blockDim.x + threadIdx.x) * sizeof(T), sizeof(T));
            value = join(value, other);
        }
        __syncthreads();
        return value;
    }

    static inline int any(int flag) { return __syncthreads_or(flag); }
};
