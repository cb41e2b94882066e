/* backends/cpu/cpu.h - what the files of the cpu backend share.
 *
 * A kernel here takes float32 cases that are worth it, and answers AX_NO to
 * the rest before it has done anything: the reference computes them. Which
 * case is worth it depends on shapes alone, so that every run of a plan
 * gives the same bytes. */
#ifndef CPU_H
#define CPU_H

#include "ax/backend.h"
#include "bytes.h"
#include "dnnl.h"
#include "tile.h"

struct cpu {
    int threads;
    bool deterministic; /* a row's bytes depend on that row alone */
    struct tile tile;
    struct bytes bytes;
    struct dnnl dnnl;
};

/* Input I is there, and is float32 or float16. */
bool cpu_real(const struct ax_call *c, uint32_t i);

/* Input I as float32: itself, or a copy until the call returns. */
ax_status cpu_in(const float **out, struct ax_call *c, uint32_t i,
                 struct ax_err *err) AX_MUST_CHECK;

/* Make output 0 with the type of input 0, and room for its float32; when
 * that is filled, cpu_out_done. */
ax_status cpu_out(float **out, struct ax_call *c, int rank,
                  const int64_t *dims, struct ax_err *err) AX_MUST_CHECK;
void cpu_out_done(struct ax_call *c, const float *from);

/* From here on loops become vectors whatever their length, and multiply and
 * add at once. */
#pragma GCC optimize("O3,fp-contract=fast,no-math-errno,no-trapping-math")

/* Loops in the widest instructions there are, chosen when the program
 * starts. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CPU_CLONES \
    __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CPU_CLONES
#endif

/* Input I is there, and is float32. */
bool cpu_f32(const struct ax_call *c, uint32_t i);

/* Take over a Relu that alone reads output 0: what is written there is at
 * least what this returns. Before the output is made. */
float cpu_floor(struct ax_call *c);

/* Below so many multiplications, threads cost more than they save. */
#define CPU_LARGE ((int64_t)1 << 18)

/* y [m, n] = a [m, k] b, b in panels (tile_pack). room has as many floats
 * as cpu_product_room says. */
int64_t cpu_product_room(int64_t m, int64_t k);
void cpu_product(float *y, const float *a, const float *panels, int64_t m,
                 int64_t n, int64_t k, const struct tile *f, float *room);

/* A convolution over one or two dimensions by tiles. AX_NO: another kind. */
ax_status direct_conv(struct ax_call *c, const struct ax_window *w,
                      void **state, struct ax_err *err);
void direct_drop(void *state);

extern const struct ax_kernel cpu_gemm[], cpu_conv[], cpu_elementwise[],
    cpu_plane[], cpu_recurrent[], cpu_rows[], cpu_int8conv[], cpu_int8gemm[],
    cpu_scale[];

#endif
