/* The cpu backend: its tables, its start and its end. */
#include "cpu.h"

#include <math.h>
#include <stdlib.h>

static ax_status open_cpu(void **state, int threads, bool deterministic,
                          struct ax_err *err)
{
    struct cpu *cpu = calloc(1, sizeof *cpu);

    if (!cpu)
        return ax_fail(err, AX_ENOMEM, "no memory for a backend");
    cpu->threads = threads;
    cpu->deterministic = deterministic;
    cpu->tile = tile_best();
    cpu->bytes = bytes_best();
    *state = cpu;
    return AX_OK;
}

static void close_cpu(void *state)
{
    struct cpu *cpu = state;

    dnnl_unload(&cpu->dnnl);
    free(cpu);
}

bool cpu_f32(const struct ax_call *c, uint32_t i)
{
    return ax_call_has(c, i) && c->in[i]->dtype == AX_F32;
}

float cpu_floor(struct ax_call *c)
{
    if (!c->then || c->then->op != AX_OP_Relu)
        return -HUGE_VALF;
    ax_call_fuse(c);
    return 0;
}

static const struct ax_kernel *const groups[] = {
    cpu_gemm, cpu_conv,     cpu_elementwise, cpu_plane, cpu_recurrent,
    cpu_rows, cpu_int8conv, cpu_int8gemm,    cpu_scale, NULL,
};

extern const struct ax_backend ax_backend_cpu;
const struct ax_backend ax_backend_cpu = {
    .abi = AX_BACKEND_ABI,
    .name = "cpu",
    .summary = "oneDNN where it pays, loops in wide instructions, and the "
               "reference for the rest",
    .groups = groups,
    .open = open_cpu,
    .close = close_cpu,
    .integers = true,
};
