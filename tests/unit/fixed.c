/* Exact decimals of a fixed size, against GMP's rationals. */
#include <float.h>
#include <gmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solver/fixed.h"
#include "tap.h"

static uint64_t seed = 11;

static uint64_t noise(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 11;
}

/* A finite double of any size, sometimes a small integer or 0. */
static double any(void)
{
    double m = (double)(int64_t)(noise() % 2001) - 1000;

    switch (noise() % 4) {
    case 0:
        return m;
    case 1:
        return m / 1024;
    case 2:
        return ldexp(m * (double)noise(), (int)(noise() % 1000) - 1074);
    default:
        return ldexp(m, (int)(noise() % 2000) - 1074);
    }
}

/* Is the text this number, without a digit that it does not need? */
static bool is(const struct fixed *f, const mpq_t want,
               struct ax_arena *arena)
{
    char *s = fixed_text(f, arena), *point;
    size_t n;
    mpq_t got;
    bool same;

    if (!s || !(n = strlen(s)) || s[n - 1] == '.' || s[0] == '.')
        return false;
    point = strchr(s, '.');
    if ((point && s[n - 1] == '0') || strcmp(s, "-0") == 0)
        return false;
    mpq_init(got);
    if (point) { /* as an integer over a power of ten */
        memmove(point, point + 1, strlen(point));
        mpz_ui_pow_ui(mpq_denref(got), 10, n - 1 - (size_t)(point - s));
    }
    mpz_set_str(mpq_numref(got), s, 10);
    mpq_canonicalize(got);
    same = mpq_equal(got, want) != 0;
    mpq_clear(got);
    return same;
}

static void doubles(struct ax_arena *arena)
{
    unsigned wrong = 0, sums = 0, orders = 0, again = 0;
    mpq_t a, b, c;

    mpq_inits(a, b, c, NULL);
    for (int i = 0; i < 3000; i++) {
        double x = any(), y = noise() % 8 ? any() : x;
        struct fixed fx, fy, sum, back;
        char *text;

        fixed_double(&fx, x);
        fixed_double(&fy, y);
        mpq_set_d(a, x);
        mpq_set_d(b, y);
        wrong += !is(&fx, a, arena);
        mpq_add(c, a, b);
        fixed_sum(&sum, &fx, &fy, false);
        sums += !is(&sum, c, arena);
        mpq_sub(c, a, b);
        fixed_sum(&fy, &fx, &fy, true);
        sums += !is(&fy, c, arena);
        orders += fixed_sign(&fy) != (x > y) - (x < y);
        text = fixed_text(&fx, arena);
        again += !text || !fixed_read(&back, text) ||
                 fixed_compare(&back, &fx) != 0;
    }
    OK(wrong == 0);
    OK(sums == 0);
    OK(orders == 0);
    OK(again == 0);
    mpq_clears(a, b, c, NULL);
}

static void extremes(struct ax_arena *arena)
{
    struct fixed a, b, sum;
    mpq_t x, y;
    char *text;

    mpq_inits(x, y, NULL);
    fixed_double(&a, DBL_MAX);
    fixed_double(&b, 4.9406564584124654e-324);
    mpq_set_d(x, DBL_MAX);
    mpq_set_d(y, 4.9406564584124654e-324);
    OK(is(&a, x, arena));
    OK(is(&b, y, arena));
    fixed_sum(&sum, &a, &b, true);
    mpq_sub(x, x, y);
    OK(is(&sum, x, arena));
    /* The largest that is read, next to the finest. */
    OK(fixed_read(&a, "-999999999999999999999999999999999999e400"));
    fixed_sum(&sum, &a, &b, true);
    text = fixed_text(&sum, arena);
    OK(text && strncmp(text, "-9999", 5) == 0 && strlen(text) == 1512);
    OK(!fixed_read(&a, "1e401"));
    OK(!fixed_read(&a, "1e-1075"));
    OK(fixed_read(&a, "1e-1074"));
    mpq_clears(x, y, NULL);
}

static void texts(struct ax_arena *arena)
{
    static const char *const same[][2] = {
        {"0", "0"},
        {"-0.000", "0"},
        {"1e2", "100"},
        {"-1.50", "-1.5"},
        {"+.5", "0.5"},
        {"10.0e-3", "0.01"},
        {"1e-19", "0.0000000000000000001"},
        {"1234567890123456789012345678901234567890.5e1",
         "12345678901234567890123456789012345678905"},
    };
    static const char *const none[] = {"",    "x",   "1x",  "1e", "--1",
                                       "inf", "nan", "0x1", " 1", "1 "};
    struct fixed f;
    char *text;

    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        OK(fixed_read(&f, same[i][0]));
        text = fixed_text(&f, arena);
        OK(text && strcmp(text, same[i][1]) == 0);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        OK(!fixed_read(&f, none[i]));
}

int main(void)
{
    struct ax_arena *arena = ax_arena_new();

    doubles(arena);
    extremes(arena);
    texts(arena);
    ax_arena_free(arena);
    return tap_done();
}
