/* SPDX-License-Identifier: BSD-3-Clause
   Rows that several blocks share, a team: each member sums its part. The last one to come joins the parts and
   concludes, which may mean to read whole rows again; the others wait for what it finds, then all write. (So y may be
   x.) Where nothing is left to be written nobody waits.

   A team goes from rows to rows. Those that wait must all be running, which a cooperative launch sees to, and what the
   members hold together should fit into the second-level cache: the host chooses members and teams accordingly.

   A team has two counters, which are 0 at first; room for a partial sum of each member and row; and for what the last
   member finds of each row. */
#ifdef __CUDACC_RTC__
#define SS_RELAX() __nanosleep(64)
#endif

enum { SS_TEAM_HEAD = 16, SS_PER_PART = 4, SS_PER_ROW = 10 }; /* in doubles; the head is a line of the cache */

/* Elements of a row that are a block's: [first, last). */
typedef struct {
    int64_t first, last;
} ss_stretch;

static inline ss_stretch stretch_of(const ss_geometry &g, int64_t block)
{
    const int64_t first = block * g.share, last = first + g.share;
    const ss_stretch mine = {first, last < g.n ? last : g.n};
    return mine;
}

template <class real, int LANES> struct ss_team {
    typedef group<LANES> lanes;
    const ss_geometry &g;
    double *head;
    unsigned member, members;

    inline ss_team(const ss_geometry &g, double *scratch) : g(g)
    {
        members = (unsigned)g.parts;
        member = blockIdx.x % members;
        head = scratch + first() * (SS_TEAM_HEAD + lanes::width() * (SS_PER_PART * g.parts + SS_PER_ROW));
    }
    /* Places are what group::row_in() makes rows of. */
    inline int64_t first() const { return blockIdx.x / members; }
    inline int64_t step() const { return gridDim.x / members; }
    inline int64_t places() const { return (g.rows + lanes::width() - 1) / lanes::width(); }

    inline ss_stretch stretch() const { return stretch_of(g, member); }

    inline partial<real> *part(unsigned member) const
    {
        static_assert(sizeof(partial<real>) <= SS_PER_PART * sizeof(double), "it takes its place");
        return (partial<real> *)(head + SS_TEAM_HEAD + SS_PER_PART * (member * lanes::width() + lanes::slot()));
    }
    template <class END> inline END *end() const
    {
        static_assert(sizeof(END) <= SS_PER_ROW * sizeof(double), "it takes its place");
        return (END *)(head + SS_TEAM_HEAD + SS_PER_PART * members * lanes::width() + SS_PER_ROW * lanes::slot());
    }

    /* One thread of a block speaks for it: a fence of that thread between the barrier and its flag covers what the
       others have written before the barrier, and one behind the flag what they read after the next. A fence of their
       own before the barrier would come too early for the memory model of PTX.

       From each member's sum of its part to what conclude(sum of all parts) gives in one of them; the others have that
       only if they `wait`. `here`: this group has a row. For all threads. */
    template <int OPERATION, class END, class F>
    inline END meet(partial<real> sum, int here, int wait, F conclude) const
    {
        unsigned *arrived = (unsigned *)head, *concluded = arrived + 1, ticket = 0;
        const int first = threadIdx.x == 0 && threadIdx.y == 0;
        if (here && lanes::rank() == 0) *part(member) = sum;
        __syncthreads();
        if (first) {
            __threadfence();
            ticket = atomicAdd(arrived, 1u);
            __threadfence();
        }
        const unsigned turn = ticket / members + 1;
        if (__syncthreads_or(first && ticket % members == members - 1)) {
            partial<real> all = {-(real)INFINITY, -(real)INFINITY, {0.0, 0.0}};
            for (unsigned k = lanes::rank(); here && k < members; k += lanes::size())
                all = join_two<real, OPERATION>(all, *part(k));
            const END found = conclude(join_parts<real, OPERATION, LANES>(all));
            if (wait) {
                if (here && lanes::rank() == 0) *end<END>() = found;
                __syncthreads();
                if (first) {
                    __threadfence();
                    atomicExch(concluded, turn);
                }
            }
            return found;
        }
        END found = END();
        if (wait) {
            if (first) {
                while (*(volatile unsigned *)concluded != turn) SS_RELAX();
                __threadfence();
            }
            __syncthreads();
            if (here) found = *end<END>();
        }
        return found;
    }
};
