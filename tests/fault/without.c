/* Run a command on a kernel that has no Landlock, or no seccomp filters for
 * programs: "without landlock COMMAND [ARG ...]". It is this kernel, with a
 * filter that says to these calls what an older one would. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls from FIRST to LAST are not there. */
static int take_away(uint32_t first, uint32_t last)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof code / sizeof *code,
                              .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

int main(int argc, char **argv)
{
    int bad = 1;

    if (argc > 2 && strcmp(argv[1], "landlock") == 0)
        bad = take_away(444, 446);
    else if (argc > 2 && strcmp(argv[1], "seccomp") == 0)
        bad = take_away(SYS_seccomp, SYS_seccomp);
    if (bad) {
        perror("without landlock|seccomp COMMAND");
        return 69;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 69;
}
