/* Run a fuzz target over its corpus as a plain test: each file of
 * tests/fuzz/corpus/NAME as it is, cut short, and with bytes changed, always
 * in the same way. One line of TAP a file. What crashes or hangs ends the
 * program before its plan, and so fails. With libFuzzer (scripts/fuzz) the
 * same targets explore. */
#include <dirent.h>
#include <libgen.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { CUTS = 64, CHANGES = 256, SECONDS_A_FILE = 120 };

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static uint8_t *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;

    *n = 0;
    if (f && fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size >= 0 && fseek(f, 0, SEEK_SET) == 0)
        data = malloc((size_t)size + 1);
    if (data)
        *n = fread(data, 1, (size_t)size, f);
    if (f)
        fclose(f);
    return data;
}

/* Each call gets a block of its own, of just this size, so that reading past
 * the end is noticed. */
static void feed(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);

    if (!copy)
        return;
    if (n)
        memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void mutate(uint8_t *data, size_t n, uint32_t *state)
{
    static const uint8_t nasty[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '(', '-'};
    uint8_t *at = data + next_random(state) % n, old = *at;
    uint32_t r = next_random(state);

    if (r & 1)
        *at ^= (uint8_t)(1u << (r >> 1) % 8);
    else
        *at = nasty[(r >> 1) % sizeof nasty];
    feed(data, n);
    if (r >> 31) /* some changes stay, and add up */
        *at = old;
}

static void replay(const char *path)
{
    uint32_t state = 2463534242u;
    size_t n;
    uint8_t *data = slurp(path, &n);

    alarm(SECONDS_A_FILE);
    if (data && n) {
        feed(data, n);
        for (size_t i = 0; i < CUTS; i++)
            feed(data, n * i / CUTS);
        feed(data, n - 1);
        for (int i = 0; i < CHANGES; i++)
            mutate(data, n, &state);
    }
    alarm(0);
    OK(data != NULL);
    printf("# %s\n", path);
    free(data);
}

int main(int argc, char **argv)
{
    const char *src = getenv("AX_SRCDIR");
    char dir[4096], path[4600];
    struct dirent **names = NULL;
    int n;

    (void)argc;
    snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", src ? src : ".",
             basename(argv[0]));
    n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            replay(path);
        free(names[i]);
    }
    free(names);
    printf("# %d files in %s\n", tap_run, dir);
    OK(tap_run > 0);
    return tap_done();
}
