/* lib/ax/provenance.h: one record has one spelling, and no path in it. */
#include "ax/provenance.h"

#include "sample.h"
#include "tap.h"

static bool says(const struct ax_model *m, const char *text)
{
    const struct ax_attachment *a = &m->attachments[m->n_attachments - 1];

    if (a->n == strlen(text) && memcmp(a->data, text, a->n) == 0)
        return true;
    printf("# %.*s\n", (int)a->n, (char *)a->data);
    return false;
}

int main(void)
{
    static const char *const arguments[] = {"--cert",
                                            "-p/home/me/p.vnnlib",
                                            "--out=/tmp/x/y.axm",
                                            "-",
                                            "/srv/net.axm",
                                            "dir/",
                                            "a/b=c/d",
                                            "--",
                                            "-k"};
    const struct ax_provenance_file file = {"/home/me/p.vnnlib", {0xab}};
    struct ax_provenance p = {.command = "ax-test",
                              .version = "1.2",
                              .n_arguments = 9,
                              .arguments = arguments,
                              .files = &file,
                              .n_files = 1};
    struct ax_model *m = sample_model(3, 2);
    struct ax_err err = {0};
    unsigned char in[32] = {0xcd};
    char want[2000], id[65];
    static const char *const bad[] = {"\xff"};

    OK(ax_provenance_append(m, &p, &err) == AX_OK);
    ax_hex32(id, m->identity);
    snprintf(want, sizeof want,
             "{\"arguments\":[\"--cert\",\"-pp.vnnlib\",\"--out=y.axm\","
             "\"-\",\"net.axm\",\"dir\",\"d\",\"--\",\"-k\"],"
             "\"command\":\"ax-test\",\"files\":[{\"name\":\"p.vnnlib\","
             "\"sha256\":\"ab%062d\"}],\"model_out\":\"%s\","
             "\"schema\":\"ax.provenance/1\",\"version\":\"1.2\"}",
             0, id);
    OK(says(m, want));
    OK(strcmp(m->attachments[0].type, "provenance") == 0);
    OK(strcmp(m->attachments[0].name, "ax-test") == 0);

    p.n_arguments = 0;
    p.n_files = 0;
    p.model_in = in;
    p.has_time = true;
    p.time = 1700000000;
    OK(ax_provenance_append(m, &p, &err) == AX_OK);
    snprintf(want, sizeof want,
             "{\"arguments\":[],\"command\":\"ax-test\",\"files\":[],"
             "\"model_in\":\"cd%062d\",\"model_out\":\"%s\","
             "\"schema\":\"ax.provenance/1\","
             "\"time\":\"2023-11-14T22:13:20Z\",\"version\":\"1.2\"}",
             0, id);
    OK(says(m, want));

    p.arguments = bad;
    p.n_arguments = 1;
    OK(ax_provenance_append(m, &p, &err) == AX_EFORMAT);
    OK(m->n_attachments == 2);
    ax_model_free(m);
    return tap_done();
}
