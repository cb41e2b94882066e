/* lib/ax/err.h: messages keep their front, statuses keep their exit codes. */
#include <string.h>

#include "ax/err.h"
#include "tap.h"

static ax_status one(struct ax_err *err)
{
    AX_TRY(ax_fail(err, AX_ESHAPE, "wants %d, has %d", 4, 3));
    return AX_OK;
}

static void context_goes_in_front(void)
{
    struct ax_err err = {0};

    OK(one(&err) == AX_ESHAPE);
    OK(err.code == AX_ESHAPE);
    OK(ax_fail_in(&err, "node '%s'", "conv1") == AX_ESHAPE);
    OK(strcmp(err.msg, "node 'conv1': wants 4, has 3") == 0);
}

static void long_messages_lose_their_end(void)
{
    struct ax_err err = {0};
    char name[600];

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)ax_fail(&err, AX_EFORMAT, "first %s", name);
    OK(strlen(err.msg) == sizeof err.msg - 1);
    (void)ax_fail_in(&err, "front");
    OK(strncmp(err.msg, "front: first xxx", 16) == 0);
    OK(strlen(err.msg) == sizeof err.msg - 1);
    (void)ax_fail_in(&err, "%s", name);
    OK(strlen(err.msg) == sizeof err.msg - 1);
}

static void exit_codes_are_as_documented(void)
{
    OK(ax_status_exit(AX_OK) == 0);
    OK(ax_status_exit(AX_NO) == 1);
    OK(ax_status_exit(AX_UNDECIDED) == 2);
    OK(ax_status_exit(AX_EUSAGE) == 64);
    OK(ax_status_exit(AX_EFORMAT) == 65);
    OK(ax_status_exit(AX_EUNSUPPORTED) == 65);
    OK(ax_status_exit(AX_ESHAPE) == 65);
    OK(ax_status_exit(AX_ENOINPUT) == 66);
    OK(ax_status_exit(AX_EUNAVAILABLE) == 69);
    OK(ax_status_exit(AX_EBUG) == 70);
    OK(ax_status_exit(AX_EIO) == 74);
    OK(ax_status_exit(AX_ENOMEM) == 75);
    OK(strcmp(ax_status_text(AX_ENOMEM), "out of memory") == 0);
}

int main(void)
{
    context_goes_in_front();
    long_messages_lose_their_end();
    exit_codes_are_as_documented();
    return tap_done();
}
