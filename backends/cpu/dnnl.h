/* backends/cpu/dnnl.h - oneDNN, found when it is first needed.
 *
 * It is never linked: loading it takes longer than a small network. It comes
 * with its threads (libgomp), the only ones in the process. */
#ifndef CPU_DNNL_H
#define CPU_DNNL_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>

/* What is used of it. */
#define DNNL_SYMBOLS(X)                           \
    X(dnnl_dilated_convolution_forward_desc_init) \
    X(dnnl_engine_create)                         \
    X(dnnl_engine_destroy)                        \
    X(dnnl_memory_create)                         \
    X(dnnl_memory_desc_equal)                     \
    X(dnnl_memory_desc_get_size)                  \
    X(dnnl_memory_desc_init_by_tag)               \
    X(dnnl_memory_destroy)                        \
    X(dnnl_memory_set_data_handle)                \
    X(dnnl_primitive_create)                      \
    X(dnnl_primitive_attr_create)                 \
    X(dnnl_primitive_attr_destroy)                \
    X(dnnl_primitive_attr_set_scratchpad_mode)    \
    X(dnnl_primitive_desc_create)                 \
    X(dnnl_primitive_desc_destroy)                \
    X(dnnl_primitive_desc_query_md)               \
    X(dnnl_primitive_destroy)                     \
    X(dnnl_primitive_execute)                     \
    X(dnnl_reorder_primitive_desc_create)         \
    X(dnnl_sgemm)                                 \
    X(dnnl_stream_create)                         \
    X(dnnl_stream_destroy)                        \
    X(dnnl_stream_wait)

struct dnnl {
    void *handle; /* NULL: not loaded */
    bool tried;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
#define X(name) __typeof__(&(name)) name;
    DNNL_SYMBOLS(X)
#undef X
};

/* Load it if that has not been tried, for so many threads. False: it is not
 * there, or of another major version. */
bool dnnl_load(struct dnnl *d, int threads);
void dnnl_unload(struct dnnl *d);

#endif
