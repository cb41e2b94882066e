/* What --version prints: see version.h. The AX_BUILD_ macros come from
 * configure. */
#include "common/version.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"

/* "libzstd 1.5.4;gmp 6.2.1" as an object. NULL if out of memory. */
static json_t *libraries(const char *s)
{
    json_t *libs = json_object();

    while (libs && *s) {
        size_t name = strcspn(s, " "), all = strcspn(s, ";");

        if (name < all &&
            json_object_setn_new(
                libs, s, name, json_stringn(s + name + 1, all - name - 1))) {
            json_decref(libs);
            return NULL;
        }
        s += all + (s[all] == ';');
    }
    return libs;
}

/* The names of the instruction sets in use here; NULL if out of memory. */
static json_t *cpu_features(void)
{
    json_t *list = json_array();
    bool good = list != NULL;

#if defined(__x86_64__)
#define HAS(name)                             \
    if (good && __builtin_cpu_supports(name)) \
        good = json_array_append_new(list, json_string(name)) == 0;
    HAS("sse4.2")
    HAS("avx")
    HAS("avx2")
    HAS("fma")
    HAS("avx512f")
    HAS("avx512bw")
    HAS("avx512dq")
    HAS("avx512vl")
    HAS("avx512vnni")
#undef HAS
#endif
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

ax_status cmd_version(const char *name, bool json, struct ax_err *err)
{
    if (!json) {
        printf("%s %s\n", name, AX_BUILD_VERSION);
        return AX_OK;
    }
    return cmd_json("ax-version/1",
                    json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "name",
                              name, "version", AX_BUILD_VERSION, "compiler",
                              AX_BUILD_CC, "cflags", AX_BUILD_CFLAGS, "host",
                              AX_BUILD_HOST, "libraries",
                              libraries(AX_BUILD_LIBS), "cpu",
                              cpu_features()),
                    err);
}
