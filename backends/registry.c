/* Every backend built in, the reference first. */
#include "ax/backend.h"

extern const struct ax_backend ax_backend_ref, ax_backend_cpu;

const struct ax_backend *const ax_backends[] = {
    &ax_backend_ref,
    &ax_backend_cpu,
    NULL,
};
