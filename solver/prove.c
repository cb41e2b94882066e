/* Decide a property: the attack first, then branch and bound, with stronger
 * attacks in between when the search takes long. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ax/prove.h"
#include "search.h"

double search_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *ax_verdict_name(ax_verdict v)
{
    static const char *const names[] = {"unknown", "holds", "violated"};

    return names[v];
}

static void say_stop(struct ax_prove_result *out, const struct search *se)
{
    static const char *const why[] = {
        [SEARCH_TIME] = "the time limit was reached",
        [SEARCH_MEMORY] = "the memory limit was reached",
        [SEARCH_BOXES] = "the limit of boxes was reached",
        [SEARCH_STUCK] = "boxes that cannot be split further stay open",
        [SEARCH_RANGE] = "values left the range of the exact arithmetic",
    };

    snprintf(out->reason, sizeof out->reason,
             "%s; %llu boxes open, %.4g%% of the volume proved",
             why[se->stop], (unsigned long long)se->stats.open,
             100 * se->stats.done);
}

ax_status ax_prove(struct ax_prove_result *out, const struct ax_net *net,
                   const struct ax_prop *prop,
                   const struct ax_prove_options *opt, struct ax_err *err)
{
    struct search se = {0};
    struct bnet *bnet = NULL;
    ax_status st;

    memset(out, 0, sizeof *out);
    out->verdict = AX_UNKNOWN;
    out->engine = "search";
    st = bnet_new(&bnet, net, err);
    if (st != AX_OK)
        return st;
    se.net = bnet;
    se.prop = prop;
    se.threads = opt->threads;
    se.began = search_now();
    se.deadline = opt->seconds > 0 ? se.began + opt->seconds : 0;
    se.bytes = opt->bytes ? opt->bytes : (size_t)4 << 30;
    se.max_boxes = opt->max_boxes;
    se.frame_bytes = frame_bytes(bnet, 1);
    se.sinks = opt->sinks;
    se.progress = opt->progress;
    se.progress_self = opt->progress_self;
    se.next_id = calloc(prop->n_groups + 1u, sizeof *se.next_id);
    if (!se.next_id)
        st = ax_fail(err, AX_ENOMEM, "no memory for %u groups",
                     prop->n_groups);
    else
        st = search_run(&se, err);
    if (st == AX_OK) {
        if (se.stop == SEARCH_ON)
            out->verdict = AX_HOLDS;
        else
            say_stop(out, &se);
        out->stats = se.stats;
        out->stats.seconds = search_now() - se.began;
    }
    free(se.next_id);
    free(se.found);
    bnet_free(bnet);
    return st;
}
