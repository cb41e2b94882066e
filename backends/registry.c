/* Every backend built in, the reference first. */
#include "ax/backend.h"

extern const struct ax_backend ax_backend_ref;

const struct ax_backend *const ax_backends[] = {
    &ax_backend_ref,
    NULL,
};
