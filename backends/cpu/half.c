/* float16 around kernels of float32: inputs are widened, outputs rounded
 * once, as the reference does. */
#include "ax/element.h"
#include "cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define T512 __attribute__((target("avx512f")))

/* How many were done. */
T512 static size_t widen_512(float *to, const uint16_t *from, size_t n)
{
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(to + i,
                         _mm512_cvtph_ps(_mm256_loadu_si256(
                             (const __m256i *)(const void *)(from + i))));
    return i;
}

T512 static size_t narrow_512(uint16_t *to, const float *from, size_t n)
{
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256(
            (__m256i *)(void *)(to + i),
            _mm512_cvtps_ph(_mm512_loadu_ps(from + i),
                            _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    return i;
}

static bool wide(void)
{
    return __builtin_cpu_supports("avx512f");
}
#else
static size_t widen_512(float *to, const uint16_t *from, size_t n)
{
    (void)to, (void)from, (void)n;
    return 0;
}

static size_t narrow_512(uint16_t *to, const float *from, size_t n)
{
    (void)to, (void)from, (void)n;
    return 0;
}

static bool wide(void)
{
    return false;
}
#endif

bool cpu_real(const struct ax_call *c, uint32_t i)
{
    return ax_call_has(c, i) &&
           (c->in[i]->dtype == AX_F32 || c->in[i]->dtype == AX_F16);
}

ax_status cpu_in(const float **out, struct ax_call *c, uint32_t i,
                 struct ax_err *err)
{
    const struct ax_tensor *t = c->in[i];
    size_t n = ax_tensor_count(t), done;
    void *to;

    *out = t->data;
    if (t->dtype == AX_F32)
        return AX_OK;
    AX_TRY(ax_call_scratch(c, &to, n * sizeof(float), err));
    done = wide() ? widen_512(to, t->data, n) : 0;
    ax_cast(AX_F32, (float *)to + done, AX_F16,
            (const uint16_t *)t->data + done, n - done);
    *out = to;
    return AX_OK;
}

ax_status cpu_out(float **out, struct ax_call *c, int rank,
                  const int64_t *dims, struct ax_err *err)
{
    void *to;

    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, rank, dims, err));
    *out = c->out[0]->data;
    if (c->out[0]->dtype == AX_F32)
        return AX_OK;
    AX_TRY(ax_call_scratch(c, &to, ax_tensor_count(c->out[0]) * sizeof(float),
                           err));
    *out = to;
    return AX_OK;
}

void cpu_out_done(struct ax_call *c, const float *from)
{
    const struct ax_tensor *t = c->out[0];
    size_t n = ax_tensor_count(t), done;

    if (t->dtype == AX_F32)
        return;
    done = wide() ? narrow_512(t->data, from, n) : 0;
    ax_cast(AX_F16, (uint16_t *)t->data + done, AX_F32, from + done,
            n - done);
}
