/* SPDX-License-Identifier: BSD-3-Clause
   Focal loss of single logits, over the same arithmetic and geometry as sigmoid.cuh. A power is some hundred operations
   on doubles: they bound the kernel, not memory, and a thread takes one element after the other. */

__noinline__ static vpair focal_logit_anew(double x, double target, double alpha, double gamma, vpair scale)
{
    const ss_sigmoid focal = {1, alpha, gamma, scale.hi, scale.lo};
    double slope;
    const double loss = ss_wide_loss_of_logit(&focal, x, target, 1.0, 1.0, &slope);
    return ss_pair(loss, slope);
}

/* Loss and slope of one element: FN(sigmoid_any), and what FN(sigmoid_anew) leaves to wide numbers. */
template <class real>
static inline vpair focal_loss_of_logit(double x, double target, double alpha, double gamma, vpair scale)
{
    typedef logistic<real> L;
    const double size = fabs(x), far = v_div(600.0, fmax(gamma, 1e-9));
    const int soft = target != 0.0 && target != 1.0, weak = alpha > 0.0 && alpha < 0x1p-100;
    if (x == x && (gamma > SS_FOCUS_MOST || weak || size > far || (soft && size > 300.0) || ss_target_beyond(target)))
        return focal_logit_anew(x, target, alpha, gamma, scale);
    const double none = v_sub(1.0, target);
    ss_logistic s;
    L::of(x, &s);
    double loss = L::loss(&s, x, none, target), slope = L::slope(&s, x, none, target, ss_pair_of(1.0));
    ss_focus(&s, L::larger(&s), x, target, alpha, gamma, &loss, &slope);
    return ss_pair(loss, v_mul(slope, scale.hi));
}

template <class T>
static inline vpair focal_loss_at(const char *x, const ss_loss_arrays &a, const ss_geometry &g,
                                  const ss_loss_options &o, vpair scale, int64_t i)
{
    return focal_loss_of_logit<typename T::real>(operand_at<T>(g, x, g.kept_x, i),
                                                 operand_at<T>(g, a.labels, g.reduced_x, i), o.alpha, o.gamma, scale);
}

template <class T>
static inline void focal_elements(const char *x, char *y, const ss_loss_arrays &a, const ss_geometry &g,
                                  const ss_loss_options &o)
{
    typedef typename T::stored stored;
    const vpair scale = ss_pair(o.scale_hi, o.scale_lo);
    ss_items_sum sum = no_items();
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < g.rows; i += (int64_t)gridDim.x * blockDim.x) {
        const vpair end = focal_loss_at<T>(x, a, g, o, scale, i);
        if (y) *(stored *)(y + offset_in(g.kept, g.kept_shape, g.kept_y, i)) = T::put(end.lo);
        if (o.summed)
            add_item(&sum, end.hi);
        else
            ((stored *)a.value)[i] = T::put(end.hi);
    }
    if (o.summed) leave_items(a.scratch + SS_SCRATCH_HEAD, sum);
}

template <class T>
static inline void finish_focal(const char *x, const ss_loss_arrays &a, const ss_geometry &g, const ss_loss_options &o)
{
    finish_items<T>(a, o, a.scratch + SS_SCRATCH_HEAD, g.rows,
                    [&](int64_t i) { return focal_loss_at<T>(x, a, g, o, ss_pair_of(1.0), i).hi; });
}
