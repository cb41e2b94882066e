/* Properties of VNN-LIB 2.0: the models of the networks that they declare,
 * and the property of one network that they become: ax/query.h. */
#include "ax/query.h"

#include <stdlib.h>
#include <string.h>

#include "prove.h"

struct query {
    struct ax_query *q;
    unsigned char *text;                 /* that it borrows */
    struct ax_model *base[CMD_LIST_MAX]; /* the models, each once */
    unsigned n;
};

void query_free(struct query *q)
{
    if (!q)
        return;
    ax_query_free(q->q);
    for (unsigned i = 0; i < q->n; i++)
        ax_model_free(q->base[i]);
    free(q->text);
    free(q);
}

/* The place of a network in the list of those with a file, or -1. */
static int place_of(const struct args *a, const char *name)
{
    size_t n = strlen(name);

    for (int i = 0; i < a->networks.n; i++)
        if (strncmp(a->networks.v[i], name, n) == 0 &&
            a->networks.v[i][n] == '=')
            return i;
    return -1;
}

/* Every --network names one that is declared, and is no copy. */
static ax_status check_names(const struct query *q, const struct args *a,
                             struct ax_err *err)
{
    for (int i = 0; i < a->networks.n; i++) {
        const char *word = a->networks.v[i], *equals = strchr(word, '=');
        const char *name;
        int same = -1;

        for (uint32_t k = 0; (name = ax_query_network(q->q, k, &same)); k++)
            if (equals && strlen(name) == (size_t)(equals - word) &&
                strncmp(name, word, (size_t)(equals - word)) == 0)
                break;
        if (!name)
            return ax_fail(err, AX_EUSAGE,
                           "--network wants NAME=FILE, of a network that is "
                           "declared, not '%.80s'",
                           word);
        if (same >= 0)
            return ax_fail(err, AX_EUSAGE,
                           "network '%.40s' is declared equal to another: "
                           "it has no file of its own",
                           name);
    }
    return AX_OK;
}

/* The model of each network. The one that was read already is that of the
 * only network without a file, or of the first in the list. */
static ax_status find_models(struct job *j, const struct args *a,
                             const struct ax_model **models,
                             struct ax_err *err)
{
    struct query *q = j->query;
    const char *name, *taken = NULL;
    int same;

    for (uint32_t k = 0; (name = ax_query_network(q->q, k, &same)); k++) {
        int i = place_of(a, name);

        if (same >= 0) {
            models[k] = models[same];
        } else if (i > 0 || (i == 0 && !a->first_is_model)) {
            AX_TRY(cmd_model_read(&q->base[q->n],
                                  strchr(a->networks.v[i], '=') + 1, err));
            models[k] = q->base[q->n++];
        } else if (taken || (a->first_is_model && i < 0)) {
            return ax_fail(err, AX_EUSAGE,
                           "network '%.40s' has no model: give it with "
                           "--network %.40s=FILE",
                           name, name);
        } else {
            models[k] = j->model;
            taken = name;
        }
    }
    if (!taken)
        return ax_fail(err, AX_EUSAGE,
                       "MODEL is of no use: all networks have a --network");
    return AX_OK;
}

static ax_status bind(struct job *j, const struct args *a, struct ax_err *err)
{
    const struct ax_model *models[CMD_LIST_MAX];
    struct query *q = j->query;
    struct ax_model *made;
    char *text;

    AX_TRY(ax_query_read(&q->q, (char *)q->text, j->found.n_text, err));
    AX_TRY(check_names(q, a, err));
    AX_TRY(find_models(j, a, models, err));
    AX_TRY(ax_query_bind(&made, &text, &j->found.n_text, q->q, models, err));
    j->found.text = (unsigned char *)text;
    if (made) {
        q->base[q->n++] = j->model;
        j->model = made;
    }
    return AX_OK;
}

ax_status query_bind(struct job *j, const struct args *a, struct ax_err *err)
{
    ax_status st;

    j->query = calloc(1, sizeof *j->query);
    if (!j->query)
        return ax_fail(err, AX_ENOMEM, "no memory for the query");
    j->query->text = j->found.text;
    j->found.text = NULL;
    st = bind(j, a, err);
    return st == AX_OK || st == AX_EUSAGE || st == AX_ENOMEM
               ? st
               : ax_fail_in(err, "%s",
                            a->property ? cmd_in_name(a->property)
                                        : "attached property");
}
