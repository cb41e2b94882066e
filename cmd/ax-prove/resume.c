/* --resume: a search that reached a limit goes on where it was. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "prove.h"

bool resume_there(const char *path)
{
    return path && access(path, F_OK) == 0;
}

ax_status resume_read(struct job *j, const struct args *a,
                      struct ax_prove_options *opt, struct ax_err *err)
{
    struct ax_saved_search before;
    unsigned char *data;
    size_t n;
    ax_status st;

    /* What is proved in the file is proved by ax-check, or not at all. */
    if (!a->check)
        return ax_fail(err, AX_EBUG, "%s: ax-check is not to be asked",
                       a->resume);
    AX_TRY(cmd_in_read(&data, &n, a->resume, opt->bytes, err));
    st = ax_certifier_restore(j->certifier, &before, data, n, j->identity,
                              err);
    free(data);
    if (st != AX_OK)
        return ax_fail_in(err, "%s", a->resume);
    if (opt->strategy != AX_STRATEGY_AUTO && opt->strategy != before.strategy)
        return ax_fail(err, AX_EUSAGE,
                       "%s: the search to go on with has another strategy",
                       a->resume);
    opt->strategy = before.strategy;
    opt->resume = j->certifier;
    return AX_OK;
}

ax_status resume_write(struct job *j, const struct args *a,
                       const struct ax_prove_options *opt, struct ax_err *err)
{
    const struct ax_prove_result *r = &j->found.result;
    struct ax_saved_search s = {.bytes = opt->bytes, .stats = r->stats};
    ax_status st;

    if (opt->resume)
        s.bytes = ax_certifier_search(opt->resume)->bytes;
    if (strcmp(r->engine, "input") == 0)
        s.strategy = AX_STRATEGY_INPUT;
    else if (strcmp(r->engine, "neuron") == 0)
        s.strategy = AX_STRATEGY_NEURON;
    else /* it did not come so far */
        return AX_OK;
    st = ax_certifier_save(j->certifier, j->open.f, &s, j->identity, err);
    if (st != AX_OK)
        return ax_fail_in(err, "%s", a->resume);
    st = cmd_out_commit(&j->open, err);
    j->found.saved = st == AX_OK;
    return st;
}
