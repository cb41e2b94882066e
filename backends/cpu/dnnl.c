/* Finding oneDNN at run time. */
#include "dnnl.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define SONAME "libdnnl.so.2"

/* A pointer to data as one to a function, as POSIX has it. */
static bool find(void *handle, const char *name, void *to)
{
    void *p = dlsym(handle, name);

    memcpy(to, &p, sizeof p);
    return p != NULL;
}

static bool find_all(struct dnnl *d)
{
    bool all = true;

#define X(name) all &= find(d->handle, #name, &d->name);
    DNNL_SYMBOLS(X)
#undef X
    return all;
}

bool dnnl_load(struct dnnl *d, int threads)
{
    void (*set_threads)(int);

    if (d->tried)
        return d->handle != NULL;
    d->tried = true;
    /* libgomp reads this once, when it is loaded: without it its threads
     * spin at every barrier, and take the processor from each other. */
    setenv("OMP_WAIT_POLICY", "passive", 0);
    /* Float32 is computed in float32, whatever somebody has set: ax-cert(5)
     * speaks of nothing less. */
    setenv("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT", 1);
    setenv("DNNL_DEFAULT_FPMATH_MODE", "STRICT", 1);
    d->handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!d->handle)
        return false;
    if (!find_all(d) ||
        d->dnnl_engine_create(&d->engine, dnnl_cpu, 0) != dnnl_success ||
        d->dnnl_stream_create(&d->stream, d->engine,
                              dnnl_stream_default_flags) != dnnl_success) {
        dnnl_unload(d);
        return false;
    }
    if (find(d->handle, "omp_set_num_threads", &set_threads))
        set_threads(threads);
    return true;
}

void dnnl_unload(struct dnnl *d)
{
    if (d->stream)
        d->dnnl_stream_destroy(d->stream);
    if (d->engine)
        d->dnnl_engine_destroy(d->engine);
    /* The library stays loaded: its threads cannot be taken back. */
    d->stream = NULL;
    d->engine = NULL;
    d->handle = NULL;
}
