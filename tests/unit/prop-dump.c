/* Print the normal form of the property on standard input, for comparison
 * with other readers: prop-dump N_X N_Y < FILE. Exit as the commands do. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ax/prop.h"

static void print_i128(ax_i128 v)
{
    unsigned __int128 m = v < 0 ? -(unsigned __int128)v
                                : (unsigned __int128)v;
    char text[48], *p = text + sizeof text - 1;

    *p = 0;
    do {
        *--p = (char)('0' + (int)(m % 10));
        m /= 10;
    } while (m);
    printf(" %s%s", v < 0 ? "-" : "", p);
}

static void print_conj(const struct ax_prop *p, const struct ax_conj *c)
{
    printf("conj %u%s\n", c->n_rows, c->never ? " never" : "");
    for (uint32_t i = 0; i < p->n_x; i++)
        printf(" %a %a", c->lo_in[i], c->hi_in[i]);
    printf("\n");
    for (uint32_t i = 0; i < c->n_rows; i++) {
        const struct ax_row *r = c->rows[i];

        printf("row");
        for (uint32_t j = 0; j < r->n_x; j++)
            printf(" X_%u %d", r->x_index[j], r->x_coef[j]);
        for (uint32_t j = 0; j < r->n_y; j++)
            printf(" Y_%u %d", r->y_index[j], r->y_coef[j]);
        printf(" %s %s %a", r->strict ? "<" : "<=", r->d_text, r->d);
        print_i128(r->d64_up);
        printf("\n");
    }
}

static void print_group(const struct ax_prop *p, const struct ax_group *g)
{
    printf("group %u P %d\n", g->n_conj, g->p);
    for (uint32_t i = 0; i < p->n_x; i++) {
        printf(" %" PRId64 " %" PRId64, g->lo[i], g->hi[i]);
        print_i128(g->lo64[i]);
        print_i128(g->hi64[i]);
        printf("\n");
    }
    for (uint32_t i = 0; i < g->n_conj; i++)
        print_conj(p, &g->conj[i]);
}

int main(int argc, char **argv)
{
    struct ax_prop *p = NULL;
    struct ax_err err = {0};
    size_t n = 0, room = 1 << 16, got;
    char *text = malloc(room);
    ax_status st;

    if (argc < 3)
        return 64;
    while (text && (got = fread(text + n, 1, room - n, stdin)) > 0) {
        n += got;
        if (n == room)
            text = realloc(text, room *= 2);
    }
    st = ax_prop_read(&p, text, n, (uint32_t)atoi(argv[1]),
                      (uint32_t)atoi(argv[2]), &err);
    free(text);
    if (st != AX_OK) {
        printf("%s\n", err.msg);
        return ax_status_exit(st);
    }
    printf("empty %u\n", p->n_empty);
    for (uint32_t i = 0; i < p->n_groups && argc < 4; i++)
        print_group(p, &p->groups[i]);
    ax_prop_free(p);
    return 0;
}
