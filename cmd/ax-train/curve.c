/* Curves in the terminal: one of letters or dots for each metric. */
#include <math.h>
#include <string.h>

#include "ax-train/watch.h"

#define WIDE   60 /* characters */
#define HIGH   6
#define ACROSS 2 /* dots of a character */
#define DOWN   4

struct canvas {
    bool dot[HIGH * DOWN][WIDE * ACROSS];
};

/* The value at a place between the first epoch and the last. */
static double at(const struct event *h, size_t n, size_t metric, double part)
{
    double place = part * (double)(n - 1);
    size_t i = (size_t)place < n - 1 ? (size_t)place : n - 1;
    size_t next = i + 1 < n ? i + 1 : i;
    double between = place - (double)i;

    return h[i].v[metric].value * (1 - between) +
           h[next].v[metric].value * between;
}

static void fill(struct canvas *c, const struct event *h, size_t n,
                 size_t metric, double low, double high)
{
    int before = -1;

    memset(c, 0, sizeof *c);
    for (size_t x = 0; x < WIDE * ACROSS; x++) {
        double v = at(h, n, metric, (double)x / (WIDE * ACROSS - 1));
        double part = high > low ? (v - low) / (high - low) : 0.5;
        int y = (int)lround((1 - part) * (HIGH * DOWN - 1));
        int from = before < 0 ? y : before < y ? before : y;
        int to = before < 0 ? y : before > y ? before : y;

        for (int k = from; k <= to; k++)
            c->dot[k][x] = true;
        before = y;
    }
}

static void put_letter(FILE *f, const struct canvas *c, size_t row, size_t x)
{
    size_t n = 0;

    for (size_t k = 0; k < ACROSS * DOWN; k++)
        n += c->dot[row * DOWN + k / ACROSS][x * ACROSS + k % ACROSS];
    fputc(n ? '*' : ' ', f);
}

/* Braille patterns begin at U+2800; their dots are numbered in columns, but
 * for the last row. */
static void put_dots(FILE *f, const struct canvas *c, size_t row, size_t x)
{
    static const unsigned bits[DOWN][ACROSS] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    unsigned dots = 0;

    for (size_t i = 0; i < DOWN; i++)
        for (size_t k = 0; k < ACROSS; k++)
            if (c->dot[row * DOWN + i][x * ACROSS + k])
                dots |= bits[i][k];
    fprintf(f, "%c%c%c", 0xe2, (int)(0xa0 | dots >> 6),
            (int)(0x80 | (dots & 63)));
}

static void draw(FILE *f, const struct event *h, size_t n, size_t metric,
                 bool braille)
{
    double low = h[0].v[metric].value, high = low;
    struct canvas c;

    for (size_t i = 1; i < n; i++) {
        low = fmin(low, h[i].v[metric].value);
        high = fmax(high, h[i].v[metric].value);
    }
    fill(&c, h, n, metric, low, high);
    fprintf(f, "%s, epochs %lld to %lld\n", h[0].v[metric].name,
            (long long)h[0].epoch, (long long)h[n - 1].epoch);
    for (size_t row = 0; row < HIGH; row++) {
        if (row == 0 || row == HIGH - 1)
            fprintf(f, "%10.4g |", row == 0 ? high : low);
        else
            fprintf(f, "%10s |", "");
        for (size_t x = 0; x < WIDE; x++)
            (braille ? put_dots : put_letter)(f, &c, row, x);
        fputc('\n', f);
    }
}

void curves_draw(FILE *f, const struct event *history, size_t n, bool braille)
{
    for (size_t k = 0; n > 0 && k < history[0].n; k++)
        draw(f, history, n, k, braille);
}
