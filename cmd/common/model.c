/* Containers as commands read and write them: see model.h. */
#include "common/model.h"

#include <errno.h>
#include <stdlib.h>

ax_status cmd_model_read(struct ax_model **out, const char *path,
                         struct ax_err *err)
{
    FILE *f;
    ax_status st;

    *out = NULL;
    AX_TRY(cmd_in_open(&f, path, err));
    st = ax_model_read(out, f, err);
    cmd_in_close(f);
    return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(path));
}

ax_status cmd_model_write(struct ax_model *m, const char *path,
                          ax_profile profile, unsigned flags,
                          struct ax_err *err)
{
    struct cmd_out out = {0};
    ax_status st;

    AX_TRY(cmd_out_open(&out, path, flags | CMD_OUT_BINARY, err));
    st = ax_model_write(m, out.f, profile, err);
    if (st == AX_OK)
        return cmd_out_commit(&out, err);
    ax_fail_in(err, "%s", out.name);
    cmd_out_discard(&out);
    return st;
}

static ax_status epoch(struct ax_provenance *p, struct ax_err *err)
{
    const char *s = getenv("SOURCE_DATE_EPOCH");
    char *end;

    if (!s || !*s)
        return AX_OK;
    errno = 0;
    p->time = strtoll(s, &end, 10);
    /* Up to the year 9999. */
    if (errno || *end || p->time < 0 || p->time > 253402300799)
        return ax_fail(err, AX_EUSAGE,
                       "SOURCE_DATE_EPOCH wants seconds since 1970, not '%s'",
                       s);
    p->has_time = true;
    return AX_OK;
}

ax_status cmd_model_record(struct ax_model *m, const struct cmd *cmd,
                           const unsigned char *identity,
                           const struct ax_provenance_file *files, size_t n,
                           struct ax_err *err)
{
    struct ax_provenance p = {.command = cmd->name,
                              .version = AX_BUILD_VERSION,
                              .model_in = identity,
                              .files = files,
                              .n_files = n};

    p.arguments = cmd_arguments(&p.n_arguments);
    AX_TRY(epoch(&p, err));
    return ax_provenance_append(m, &p, err);
}
