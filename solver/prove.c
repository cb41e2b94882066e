/* Decide a property: a short attack, then branch and bound, with further
 * attacks while the search lasts: from random starts, and from boxes that
 * it had to split. What is done when is counted in boxes, not in seconds, so
 * that it does not depend on the machine. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attack.h"
#include "ax/prove.h"
#include "clock.h"
#include "neuron.h"
#include "point.h"
#include "search.h"

const char *ax_verdict_name(ax_verdict v)
{
    static const char *const names[] = {"unknown", "holds", "violated"};

    return names[v];
}

/* The attack's side of the search. */
struct hunt {
    struct attack *attack;
    struct ax_prove_result *out;
    uint64_t n_conj;      /* in all groups */
    uint64_t next_random; /* boxes at which random starts are tried again */
    bool attacked;        /* random starts were tried */
    bool large;           /* an attack takes as long as many boxes do */
    unsigned wait;        /* rounds until the next suspects are followed */
    uint32_t n_starts, group, conj;
    double *starts; /* [POINTS, n_x] */
    double seconds;
    ax_status status; /* AX_NO so far, AX_OK found, or an error */
    struct ax_err err;
};

#define SHORT_STEPS  8    /* of the attack before the search */
#define FIRST_RANDOM 1    /* boxes */
#define NEXT_RANDOM  2048 /* and then */
#define SMALL_BYTES  ((size_t)1 << 20)
#define SUSPECT_WAIT 8 /* rounds */

static void hunted(struct hunt *h, double began, ax_status st)
{
    h->seconds += clock_now() - began;
    h->status = st;
}

static void hunt_random(struct hunt *h, unsigned rounds, int steps,
                        double deadline)
{
    double began = clock_now();

    h->attacked |= steps == 0;
    hunted(h, began,
           attack_run(h->attack, rounds, steps, deadline, &h->out->x,
                      &h->out->group, &h->out->conj, &h->err));
}

/* Note a point, up to POINTS of one conjunction. */
static void suspect(struct search *se, uint32_t group, uint32_t conj,
                    const float *at)
{
    struct hunt *h = se->self;
    uint32_t n_x = se->net->nodes[0].n;
    double *x = h->starts + (size_t)h->n_starts * n_x;

    if (h->n_starts == POINTS || h->wait > 1)
        return;
    if (h->n_starts == 0) {
        h->group = group;
        h->conj = conj;
    } else if (group != h->group || conj != h->conj) {
        return;
    }
    for (uint32_t j = 0; j < n_x; j++)
        x[j] = (double)at[j];
    h->n_starts++;
}

static bool pause_search(struct search *se)
{
    struct hunt *h = se->self;

    if (se->stats.boxes >= h->next_random && !h->attacked) {
        hunt_random(h, 1, 0, se->deadline);
        h->next_random = NEXT_RANDOM;
    } else if (se->stats.boxes >= h->next_random) {
        hunt_random(
            h,
            h->large ? 1 : (unsigned)(4 + h->next_random / 1024 / h->n_conj),
            0, se->deadline);
        h->next_random *= 2;
    }
    if (h->wait > 0)
        h->wait--;
    if (h->status == AX_NO && h->n_starts == POINTS && h->wait == 0) {
        double began = clock_now();

        hunted(h, began,
               attack_from(h->attack, h->group, h->conj, h->starts,
                           se->deadline, &h->out->x, &h->out->group,
                           &h->out->conj, &h->err));
        h->n_starts = 0;
        h->wait = SUSPECT_WAIT;
    }
    return h->status != AX_NO;
}

static ax_status hunt_start(struct hunt *h, struct ax_prove_result *out,
                            const struct ax_net *net,
                            const struct lane_net *lane,
                            const struct ax_prop *prop,
                            const struct ax_prove_options *opt,
                            struct ax_err *err)
{
    *h = (struct hunt){
        .out = out, .next_random = FIRST_RANDOM, .status = AX_NO, .wait = 1};
    for (uint32_t g = 0; g < prop->n_groups; g++)
        h->n_conj += prop->groups[g].n_conj;
    h->starts = calloc((size_t)POINTS * (prop->n_x + 1u), sizeof *h->starts);
    if (!h->starts)
        return ax_fail(err, AX_ENOMEM, "no memory for the attack");
    return attack_new(&h->attack, net, lane, prop, opt, err);
}

static void hunt_end(struct hunt *h)
{
    if (h->attack)
        h->out->stats.attacks = attack_points(h->attack);
    h->out->stats.attack_seconds = h->seconds;
    attack_free(h->attack);
    free(h->starts);
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
             "%s: %llu boxes are open, %.4g%% of the volume is proved",
             why[se->stop], (unsigned long long)se->stats.open,
             100 * se->stats.done);
}

/* Few inputs are split, of many the neurons' signs. */
#define INPUTS_SPLIT  16
#define INPUTS_CURVED 64 /* no sign of a neuron makes products tighter */

/* How many inputs are not fixed, in the group that has most. */
static uint32_t open_inputs(const struct ax_prop *prop)
{
    uint32_t most = 0;

    for (uint32_t g = 0; g < prop->n_groups; g++) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < prop->n_x; i++)
            n += prop->groups[g].lo64[i] + 1 < prop->groups[g].hi64[i];
        most = n > most ? n : most;
    }
    return most;
}

/* One more line of why. */
static void AX_PRINTF(2, 3)
    explain(struct ax_prove_result *out, const char *fmt, ...)
{
    size_t n = strlen(out->why);
    va_list ap;

    if (n && n + 1 < sizeof out->why) {
        out->why[n++] = '\n';
        out->why[n] = '\0';
    }
    va_start(ap, fmt);
    vsnprintf(out->why + n, sizeof out->why - n, fmt, ap);
    va_end(ap);
}

static void explain_problem(struct ax_prove_result *out,
                            const struct ax_net *net,
                            const struct ax_prop *prop)
{
    unsigned long long neurons = 0, conjunctions = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        if (ax_net_neurons(net->nodes[k].kind))
            neurons += net->nodes[k].n;
    for (uint32_t g = 0; g < prop->n_groups; g++)
        conjunctions += prop->groups[g].n_conj;
    explain(out,
            "problem: %u inputs, %u of them not fixed, %llu neurons, %u "
            "outputs; %llu conjunctions over %u boxes",
            prop->n_x, open_inputs(prop), neurons, prop->n_y, conjunctions,
            prop->n_groups);
}

static void explain_attack(struct ax_prove_result *out, bool wanted,
                           bool hunts, bool large)
{
    if (!wanted)
        explain(out, "attack: none, as was asked for");
    else if (!hunts)
        explain(out, "attack: none, it would take more than a quarter of the "
                     "memory");
    else if (large)
        explain(out, "attack: a short one first, since bounds of a large "
                     "network take longer; others during the search");
    else
        explain(out, "attack: after the first box, since bounds of a small "
                     "network take less than an attack");
}

static void explain_strategy(struct ax_prove_result *out,
                             const struct ax_prop *prop,
                             enum ax_strategy asked, enum ax_strategy taken,
                             bool curved)
{
    const char *what = taken == AX_STRATEGY_INPUT ? "boxes of inputs"
                                                  : "signs of neurons";

    if (asked != AX_STRATEGY_AUTO)
        explain(out, "strategy: %s are split, as was asked for", what);
    else
        explain(out,
                "strategy: %s are split, since %u inputs are not fixed, %s "
                "%d%s",
                what, open_inputs(prop),
                taken == AX_STRATEGY_INPUT ? "not more than" : "more than",
                curved ? INPUTS_CURVED : INPUTS_SPLIT,
                curved ? ", and there are products" : "");
}

/* The search, with h hunting if it is not NULL. */
static ax_status branch(struct ax_prove_result *out, struct search *se,
                        const struct ax_net *net, const struct lane_net *lane,
                        struct hunt *h, const struct ax_prove_options *opt,
                        struct ax_err *err)
{
    enum ax_strategy asked = opt->strategy, strategy = asked;
    struct bnet *bnet = NULL;
    ax_status st = bnet_new(&bnet, net, opt->semantics, err);

    if (st != AX_OK)
        return st;
    se->net = bnet;
    se->frame_bytes = frame_bytes(bnet, 1);
    if (h) {
        se->self = h;
        se->suspect = suspect;
        se->pause = pause_search;
    }
    if (strategy == AX_STRATEGY_AUTO)
        strategy = open_inputs(se->prop) <=
                           (bnet->curved ? INPUTS_CURVED : INPUTS_SPLIT)
                       ? AX_STRATEGY_INPUT
                       : AX_STRATEGY_NEURON;
    explain_strategy(out, se->prop, asked, strategy, bnet->curved);
    out->engine = strategy == AX_STRATEGY_INPUT ? "input" : "neuron";
    st = strategy == AX_STRATEGY_INPUT ? search_run(se, err)
                                       : neuron_run(se, lane, err);
    out->stats = se->stats;
    if (st == AX_OK && se->stop == SEARCH_ON)
        out->verdict = AX_HOLDS;
    else if (st == AX_OK && se->stop != SEARCH_FOUND)
        say_stop(out, se);
    else if (st == AX_UNDECIDED) /* more memory than it may use */
        snprintf(out->reason, sizeof out->reason, "%.255s", err->msg);
    bnet_free(bnet);
    return st == AX_UNDECIDED ? AX_OK : st;
}

/* Over the reals, in the floats of an execution, or both? */
static ax_status classify(struct ax_prove_result *out,
                          const struct ax_net *net,
                          const struct ax_prop *prop,
                          const struct ax_prove_options *opt,
                          struct ax_err *err)
{
    bool floats = opt->semantics == AX_SEMANTICS_IEEE32;
    uint32_t group, conj;
    ax_status st = AX_OK;

    out->in_reals = !floats;
    out->in_floats = floats;
    if (floats) {
        st = ax_net_refutes(net, prop, out->x, &group, &conj, err);
        out->in_reals = st == AX_OK;
    } else if (opt->execution) {
        float *y = calloc(prop->n_y + 1u, sizeof *y);

        if (!y)
            return ax_fail(err, AX_ENOMEM, "no memory for the outputs");
        st = replay_floats(opt->execution, net, prop, out->x, y, &group,
                           &conj, err);
        out->in_floats = st == AX_OK;
        free(y);
    }
    return st == AX_NO ? AX_OK : st;
}

ax_status ax_prove(struct ax_prove_result *out, const struct ax_net *net,
                   const struct ax_prop *prop,
                   const struct ax_prove_options *opt, struct ax_err *err)
{
    double began = clock_now();
    struct search se = {
        .prop = prop,
        .threads = opt->threads > 1 ? opt->threads : 1,
        .began = began,
        .deadline = opt->seconds > 0 ? began + opt->seconds : 0,
        .bytes = opt->bytes ? opt->bytes : (size_t)4 << 30,
        .max_boxes = opt->max_boxes,
        .resume = opt->resume,
        .no_clip = opt->no_clip,
        .sinks = opt->sinks,
        .progress = opt->progress,
        .progress_self = opt->progress_self,
    };
    struct hunt hunt = {.status = AX_NO};
    bool hunts = !opt->no_attack && points_bytes(net) <= se.bytes / 4 &&
                 (opt->semantics != AX_SEMANTICS_IEEE32 || opt->execution);
    struct lane_net *lane = NULL;
    ax_status st;

    memset(out, 0, sizeof *out);
    out->verdict = AX_UNKNOWN;
    out->engine = prop->n_groups ? "attack" : "empty";
    se.root_bytes = se.bytes;
    if (opt->resume) {
        const struct ax_saved_search *b = ax_certifier_search(opt->resume);

        se.stats = b->stats;
        se.boxes_before = b->stats.boxes;
        se.root_bytes = b->bytes;
    }
    explain_problem(out, net, prop);
    if (opt->resume)
        explain(out, "resumed: %llu boxes before, %llu of them leaves",
                (unsigned long long)se.stats.boxes,
                (unsigned long long)se.stats.leaves);
    if (opt->semantics == AX_SEMANTICS_IEEE32 && *net->only_real) {
        snprintf(out->reason, sizeof out->reason,
                 "not covered by ieee32: %.200s", net->only_real);
        return AX_OK;
    }
    if (prop->n_groups == 0) {
        explain(out, "decided: the unsafe set is empty as it is written");
        out->verdict = AX_HOLDS;
        return AX_OK;
    }
    se.next_id = calloc(prop->n_groups, sizeof *se.next_id);
    if (!se.next_id)
        return ax_fail(err, AX_ENOMEM, "no memory for %u groups",
                       prop->n_groups);
    st = lane_net_new(&lane, net, err);
    if (st == AX_OK && hunts)
        st = hunt_start(&hunt, out, net, lane, prop, opt, err);
    /* A small network's bounds take less than an attack on it, a large one's
     * take more than a short attack. */
    hunt.large = points_bytes(net) > SMALL_BYTES;
    explain_attack(out, !opt->no_attack, hunts, hunt.large);
    if (st == AX_OK && hunts && hunt.large)
        hunt_random(&hunt, 1, SHORT_STEPS, se.deadline);
    if (st == AX_OK && hunt.status == AX_NO)
        st = branch(out, &se, net, lane, hunts ? &hunt : NULL, opt, err);
    if (st == AX_OK && out->verdict == AX_UNKNOWN && hunts && !hunt.attacked)
        hunt_random(&hunt, 1, 0, se.deadline);
    if (st == AX_OK && hunt.status == AX_OK) {
        out->verdict = AX_VIOLATED;
        out->engine = "attack";
        out->reason[0] = '\0';
        st = classify(out, net, prop, opt, err);
    } else if (st == AX_OK && hunt.status != AX_NO) {
        *err = hunt.err;
        st = hunt.status;
    }
    if (hunt.out)
        hunt_end(&hunt);
    out->stats.seconds = clock_now() - began;
    if (out->verdict != AX_UNKNOWN)
        explain(out, "decided: by %s, after %llu boxes and %llu points",
                out->verdict == AX_HOLDS ? "the search" : "an attack",
                (unsigned long long)out->stats.boxes,
                (unsigned long long)out->stats.attacks);
    free(se.next_id);
    lane_net_free(lane);
    return st;
}
