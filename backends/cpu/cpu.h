/* backends/cpu/cpu.h - what the files of the cpu backend share.
 *
 * A kernel here takes float32 cases that are worth it, and answers AX_NO to
 * the rest before it has done anything: the reference computes them. Which
 * case is worth it depends on shapes alone, so that every run of a plan
 * gives the same bytes. */
#ifndef CPU_H
#define CPU_H

#include "ax/backend.h"
#include "dnnl.h"

struct cpu {
    int threads;
    struct dnnl dnnl;
};

/* Loops in the widest instructions there are, chosen when the program
 * starts. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define CPU_CLONES \
    __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CPU_CLONES
#endif

/* Input I is there, and is float32. */
bool cpu_f32(const struct ax_call *c, uint32_t i);

/* Below so many multiplications, loading oneDNN costs more than it saves. */
#define CPU_SMALL ((int64_t)1 << 18)

extern const struct ax_kernel cpu_gemm[], cpu_conv[], cpu_elementwise[],
    cpu_plane[];

#endif
