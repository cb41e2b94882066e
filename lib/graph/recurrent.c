/* Shape rules of recurrent layers: LSTM, GRU, RNN. Source: Operators.md of
 * ONNX at opset 17. */
#include <inttypes.h>
#include <string.h>

#include "graph/infer.h"

/* Rows of the weights are the gates, one below the other. */
static ax_status hidden_size(struct infer_dim *out, const struct infer *s,
                             int64_t gates, struct ax_err *err)
{
    const struct infer_fact *w = infer_in(s, 1);
    int64_t said = ax_node_int(s->node, "hidden_size", -1);

    *out = said < 0 ? infer_unknown() : infer_number(said);
    if (w->rank < 0 || w->d[1].p != 0)
        return AX_OK;
    if (w->d[1].k % gates || (said >= 0 && w->d[1].k != gates * said))
        return ax_fail(err, AX_ESHAPE,
                       "%" PRId64 " rows of weights for %" PRId64
                       " gates, hidden_size is %" PRId64,
                       w->d[1].k, gates, said);
    *out = infer_number(w->d[1].k / gates);
    return AX_OK;
}

static ax_status recurrent(struct infer *s, int64_t gates, uint32_t n_states,
                           struct ax_err *err)
{
    const char *way = ax_node_string(s->node, "direction", "forward");
    int batch = ax_node_int(s->node, "layout", 0) != 0 ? 0 : 1;
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact y = {.dtype = x->dtype, .rank = -1}, state = y;
    struct infer_dim hidden, directions;

    for (uint32_t k = 0; k < 3; k++)
        if (infer_in(s, k)->rank >= 0 && infer_in(s, k)->rank != 3)
            return ax_fail(err, AX_ESHAPE,
                           "input %" PRIu32 " wants 3 dimensions, has %d", k,
                           infer_in(s, k)->rank);
    AX_TRY(hidden_size(&hidden, s, gates, err));
    directions = infer_number(strcmp(way, "bidirectional") == 0 ? 2 : 1);
    y.rank = 4;
    y.d[!batch] = x->rank == 3 ? x->d[!batch] : infer_unknown();
    y.d[batch ? 2 : 0] = x->rank == 3 ? x->d[batch] : infer_unknown();
    y.d[batch ? 1 : 2] = directions;
    y.d[3] = hidden;
    state.rank = 3;
    state.d[batch] = y.d[batch ? 2 : 0];
    state.d[!batch] = directions;
    state.d[2] = hidden;
    *infer_out(s, 0) = y;
    for (uint32_t k = 1; k <= n_states; k++)
        *infer_out(s, k) = state;
    return AX_OK;
}

ax_status infer_lstm(struct infer *s, struct ax_err *err)
{
    return recurrent(s, 4, 2, err);
}

ax_status infer_gru(struct infer *s, struct ax_err *err)
{
    return recurrent(s, 3, 1, err);
}

ax_status infer_rnn(struct infer *s, struct ax_err *err)
{
    return recurrent(s, 1, 1, err);
}
