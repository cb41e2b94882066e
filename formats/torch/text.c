/* Bytes and texts that the readers of PyTorch's files share. */
#include <string.h>

#include "formats/torch/torch.h"

bool torch_is(struct torch_text t, const char *s)
{
    return t.n == strlen(s) && (t.n == 0 || memcmp(t.s, s, t.n) == 0);
}

bool torch_same(struct torch_text a, struct torch_text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

struct torch_shown torch_show(struct torch_text t)
{
    struct torch_shown out;
    size_t n = t.n < sizeof out.s ? t.n : sizeof out.s - 1;

    for (size_t i = 0; i < n; i++)
        out.s[i] = t.s[i] >= 0x20 && t.s[i] < 0x7f ? t.s[i] : '?';
    out.s[n] = '\0';
    return out;
}

uint64_t torch_le(const unsigned char *p, unsigned n)
{
    uint64_t x = 0;

    for (unsigned i = 0; i < n; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}
