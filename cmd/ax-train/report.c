/* The report of a run: one file of HTML that needs no other. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax-train/watch.h"
#include "common/file.h"

#define WRONG_MAX   24
#define CLASSES_MAX 64  /* of a matrix that is printed */
#define SIDE_MAX    256 /* of an image that is shown */

static void put_text(FILE *f, const char *s)
{
    for (; *s; s++)
        if (*s == '<' || *s == '>' || *s == '&' || *s == '"')
            fprintf(f, "&#%d;", *s);
        else
            fputc(*s, f);
}

static void put_head(FILE *f, const struct job *j)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
          "<title>ax-train: ",
          f);
    put_text(f, cmd_in_name(j->args->start));
    fputs("</title>\n<style>body{font:15px sans-serif;max-width:60em;"
          "margin:2em auto}table{border-collapse:collapse}td,th{padding:"
          ".15em .6em;border:1px solid #bbb;text-align:right}th{background:"
          "#eee}figure{display:inline-block;margin:.5em;text-align:center;"
          "font-size:13px}img{image-rendering:pixelated;width:96px}"
          "code{overflow-wrap:anywhere}</style>\n<h1>",
          f);
    put_text(f, cmd_in_name(j->args->start));
    fputs("</h1>\n", f);
}

static void put_run(FILE *f, const struct job *j)
{
    int n;
    const char *const *words = cmd_arguments(&n);

    fputs("<h2>Run</h2>\n<p><code>ax-train", f);
    for (int i = 0; i < n; i++) {
        fputc(' ', f);
        put_text(f, words[i]);
    }
    fputs("</code></p>\n<table><tr><th>file<th>SHA-256\n", f);
    for (size_t i = 0; i < j->files.n; i++) {
        char hex[65];

        ax_hex32(hex, j->files.v[i].sha256);
        fputs("<tr><td>", f);
        put_text(f, j->files.v[i].name);
        fprintf(f, "<td><code>%s</code>\n", hex);
    }
    fputs("</table>\n", f);
}

/* -- curves ---------------------------------------------------------------
 */

static void put_curve(FILE *f, const struct event *h, size_t n, size_t metric)
{
    double low = h[0].v[metric].value, high = low;

    for (size_t i = 1; i < n; i++) {
        low = fmin(low, h[i].v[metric].value);
        high = fmax(high, h[i].v[metric].value);
    }
    fprintf(f,
            "<figure><svg width=\"380\" height=\"190\" viewBox=\"0 0 380 "
            "190\"><rect x=\"60\" y=\"10\" width=\"310\" height=\"150\" "
            "fill=\"none\" stroke=\"#bbb\"/><text x=\"54\" y=\"18\" "
            "text-anchor=\"end\" font-size=\"12\">%.4g</text><text x=\"54\" "
            "y=\"160\" text-anchor=\"end\" font-size=\"12\">%.4g</text>"
            "<text x=\"60\" y=\"178\" font-size=\"12\">%" PRId64
            "</text><text x=\"370\" y=\"178\" text-anchor=\"end\" "
            "font-size=\"12\">%" PRId64 "</text>"
            "<polyline fill=\"none\" stroke=\"#06c\" stroke-width=\"2\" "
            "points=\"",
            high, low, h[0].epoch, h[n - 1].epoch);
    for (size_t i = 0; i < n; i++) {
        double part = high > low ? (h[i].v[metric].value - low) / (high - low)
                                 : 0.5;

        fprintf(f, "%.1f,%.1f ",
                60 + 310 * (n > 1 ? (double)i / (double)(n - 1) : 0.5),
                160 - 150 * part);
    }
    fprintf(f, "\"/></svg><figcaption>%s</figcaption></figure>\n",
            h[0].v[metric].name);
}

static void put_curves(FILE *f, const struct job *j)
{
    const struct event *last;

    if (j->n_history == 0)
        return;
    last = &j->history[j->n_history - 1];
    fputs("<h2>Curves</h2>\n", f);
    for (size_t k = 0; k < last->n; k++)
        put_curve(f, j->history, j->n_history, k);
    fputs("<table><tr><th>metric<th>at the end\n", f);
    for (size_t k = 0; k < last->n; k++)
        fprintf(f, "<tr><td>%s<td>%.6g\n", last->v[k].name, last->v[k].value);
    fputs("</table>\n", f);
}

/* -- classes --------------------------------------------------------------
 */

static ax_status put_confusion(FILE *f, const struct scores *s,
                               struct ax_err *err)
{
    size_t *counts;

    if (s->n > CLASSES_MAX)
        return AX_OK;
    counts = calloc(s->n * s->n, sizeof *counts);
    if (!counts)
        return ax_fail(err, AX_ENOMEM, "no memory for a report");
    scores_confusion(counts, s);
    fputs("<h2>Confusion</h2>\n<p>Rows are labels, columns are answers."
          "</p>\n<table><tr><th>",
          f);
    for (size_t k = 0; k < s->n; k++)
        fprintf(f, "<th>%zu", k);
    for (size_t i = 0; i < s->n; i++) {
        size_t all = 0;

        for (size_t k = 0; k < s->n; k++)
            all += counts[i * s->n + k];
        fprintf(f, "\n<tr><th>%zu", i);
        for (size_t k = 0; k < s->n; k++) {
            size_t v = counts[i * s->n + k];

            fprintf(f, "<td style=\"background:rgba(%s,%.3f)\">%zu",
                    i == k ? "0,160,0" : "200,0,0",
                    all ? (double)v / (double)all : 0.0, v);
        }
    }
    fputs("\n</table>\n", f);
    free(counts);
    return AX_OK;
}

struct wrong {
    size_t row, answer;
    double share; /* that the right class has, 0 to 1 */
};

/* The share of class K, and in *answer the class of the most. */
static double share(const float *z, size_t n, size_t k, size_t *answer)
{
    double sum = 0;

    *answer = 0;
    for (size_t c = 1; c < n; c++)
        if (z[c] > z[*answer])
            *answer = c;
    for (size_t c = 0; c < n; c++)
        sum += ax_train_exp((double)z[c] - (double)z[*answer]);
    return ax_train_exp((double)z[k] - (double)z[*answer]) / sum;
}

/* Those whose right class has the least, worst first. */
static size_t find_wrong(struct wrong *v, const struct scores *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->rows; i++) {
        struct wrong w = {.row = i};
        size_t at;

        w.share = share(s->out + i * s->n, s->n, (size_t)s->labels[i],
                        &w.answer);
        if (w.answer == (size_t)s->labels[i] ||
            (n == WRONG_MAX && w.share >= v[n - 1].share))
            continue;
        at = n < WRONG_MAX ? n++ : n - 1;
        for (; at > 0 && v[at - 1].share > w.share; at--)
            v[at] = v[at - 1];
        v[at] = w;
    }
    return n;
}

/* -- images ---------------------------------------------------------------
 */

static void put_base64(FILE *f, const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16;

        v |= i + 1 < n ? (unsigned)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? p[i + 2] : 0;
        fputc(digits[v >> 18], f);
        fputc(digits[v >> 12 & 63], f);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? digits[v & 63] : '=', f);
    }
}

static void put_le(unsigned char *p, size_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

/* An image of one or three channels as a bitmap of Windows, spread over all
 * shades that there are. */
static ax_status put_image(FILE *f, const float *x, const int64_t *dims,
                           struct ax_err *err)
{
    size_t high = (size_t)dims[1], wide = (size_t)dims[2];
    size_t row = (wide * 3 + 3) / 4 * 4, n = 54 + row * high;
    unsigned char *bmp = calloc(n, 1);
    float low = x[0], top = x[0];

    if (!bmp)
        return ax_fail(err, AX_ENOMEM, "no memory for an image");
    for (size_t i = 1; i < (size_t)dims[0] * high * wide; i++) {
        low = fminf(low, x[i]);
        top = fmaxf(top, x[i]);
    }
    memcpy(bmp, "BM", 2);
    put_le(bmp + 2, n, 4);
    put_le(bmp + 10, 54, 4);
    put_le(bmp + 14, 40, 4);
    put_le(bmp + 18, wide, 4);
    put_le(bmp + 22, high, 4);
    put_le(bmp + 26, 1, 2);
    put_le(bmp + 28, 24, 2);
    for (size_t y = 0; y < high; y++)
        for (size_t i = 0; i < wide * 3; i++) {
            size_t channel = dims[0] == 3 ? 2 - i % 3 : 0;
            float v = x[(channel * high + y) * wide + i / 3];

            bmp[54 + (high - 1 - y) * row + i] =
                (unsigned char)(top > low ? 255 * (v - low) / (top - low)
                                          : 0);
        }
    fputs("<img alt=\"\" src=\"data:image/bmp;base64,", f);
    put_base64(f, bmp, n);
    fputs("\">", f);
    free(bmp);
    return AX_OK;
}

static ax_status put_row(FILE *f, const struct job *j, const float *x,
                         struct ax_err *err)
{
    const struct ax_graph *g = j->model->graph;
    const struct ax_value *in = &g->values[g->inputs[0]];

    if (in->rank == 4 && (in->dims[1] == 1 || in->dims[1] == 3) &&
        in->dims[2] <= SIDE_MAX && in->dims[3] <= SIDE_MAX)
        return put_image(f, x, in->dims + 1, err);
    fputs("<code>", f);
    for (size_t i = 0; i < j->train.inputs && i < 8; i++)
        fprintf(f, "%.4g ", (double)x[i]);
    fputs(j->train.inputs > 8 ? "...</code>" : "</code>", f);
    return AX_OK;
}

static ax_status put_wrong(FILE *f, struct job *j, const struct data *d,
                           const struct scores *s, struct ax_err *err)
{
    struct wrong v[WRONG_MAX];
    size_t n = find_wrong(v, s);
    float *x = calloc(d->inputs, sizeof *x);
    ax_status st = AX_OK;
    int64_t label;

    if (!x)
        return ax_fail(err, AX_ENOMEM, "no memory for a report");
    fputs("<h2>What went wrong</h2>\n", f);
    if (n == 0)
        fputs("<p>Nothing.</p>\n", f);
    for (size_t i = 0; st == AX_OK && i < n; i++) {
        data_rows(d, &v[i].row, 1, x, &label, NULL);
        fputs("<figure>", f);
        st = put_row(f, j, x, err);
        fprintf(f,
                "<figcaption>row %zu: %" PRId64 ", not %zu<br>given "
                "%.2g %%</figcaption></figure>\n",
                v[i].row, label, v[i].answer, 100 * v[i].share);
    }
    free(x);
    return st;
}

/* -- all of it ------------------------------------------------------------
 */

static ax_status put_classes(FILE *f, struct job *j, struct ax_err *err)
{
    const struct data *d = j->args->test ? &j->test : &j->train;
    struct result r;
    struct scores s;

    AX_TRY(job_measure(j, d, &r, err));
    s = (struct scores){d->rows, d->outputs, j->scores, j->labels};
    fprintf(f, "<p>Of %zu rows %s.</p>\n", d->rows,
            j->args->test ? "to measure with" : "that were trained with");
    AX_TRY(put_confusion(f, &s, err));
    return put_wrong(f, j, d, &s, err);
}

ax_status report_write(struct job *j, struct ax_err *err)
{
    struct cmd_out out = {0};
    ax_status st;

    AX_TRY(cmd_out_open(&out, j->args->report, 0, err));
    put_head(out.f, j);
    put_run(out.f, j);
    put_curves(out.f, j);
    st = j->args->opt.loss == AX_LOSS_CROSS_ENTROPY
             ? put_classes(out.f, j, err)
             : AX_OK;
    fputs("</html>\n", out.f);
    if (st == AX_OK)
        st = cmd_out_commit(&out, err);
    else
        cmd_out_discard(&out);
    return st;
}
