/* Walking over the elements of a result that operands are broadcast to. */
#include "ax/backend.h"

static void dense_strides(int64_t *strides, int rank, const int64_t *dims)
{
    int64_t n = 1;

    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = n;
        n *= dims[i];
    }
}

void ax_walk_init(struct ax_walk *w, int rank, const int64_t *dims,
                  const struct ax_tensor *const *in, int n)
{
    int64_t strides[3][AX_RANK_MAX] = {{0}};

    for (int k = 0; k < n; k++) {
        int64_t s[AX_RANK_MAX];
        int shift = rank - in[k]->rank;

        dense_strides(s, in[k]->rank, in[k]->dims);
        for (int i = 0; i < in[k]->rank; i++)
            strides[k][i + shift] = in[k]->dims[i] == 1 ? 0 : s[i];
    }
    w->rank = 0;
    for (int i = 0; i < rank; i++) {
        bool join = w->rank > 0;

        if (dims[i] == 1)
            continue;
        for (int k = 0; k < n && join; k++)
            join = w->stride[k][w->rank - 1] == strides[k][i] * dims[i];
        if (!join)
            w->dims[w->rank++] = 1;
        w->dims[w->rank - 1] *= dims[i];
        for (int k = 0; k < n; k++)
            w->stride[k][w->rank - 1] = strides[k][i];
    }
    if (w->rank == 0) {
        w->rank = 1;
        w->dims[0] = 1;
        for (int k = 0; k < n; k++)
            w->stride[k][0] = 0;
    }
}

void ax_walk_runs(const struct ax_walk *w, int n,
                  void (*f)(void *x, size_t out, const size_t *at,
                            size_t len),
                  void *x)
{
    int64_t index[AX_RANK_MAX] = {0};
    size_t out = 0, at[3] = {0};
    int last = w->rank - 1;

    for (int i = 0; i <= last; i++)
        if (w->dims[i] == 0)
            return;
    for (;;) {
        int i = last - 1;

        f(x, out, at, (size_t)w->dims[last]);
        out += (size_t)w->dims[last];
        for (; i >= 0; i--) {
            for (int k = 0; k < n; k++)
                at[k] += (size_t)w->stride[k][i];
            if (++index[i] < w->dims[i])
                break;
            for (int k = 0; k < n; k++)
                at[k] -= (size_t)(w->stride[k][i] * w->dims[i]);
            index[i] = 0;
        }
        if (i < 0)
            return;
    }
}
