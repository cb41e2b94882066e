/* The seccomp filter: see filter.h. It is a list of what is allowed, compiled
 * into the kernel's small machine (seccomp(2), bpf of Linux): one comparison
 * a row, and the first row that fits decides. Refusals are errors, not
 * signals, since no input may end a command by a signal. */
#include "common/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)
#define ANY     UINT32_MAX /* as a mask: the whole argument */
#define SELF    UINT32_MAX /* as a value: the number of this process */

/* clang-format off */
static const int always[] = {
    /* Data in descriptors that are open. */
    SYS_read, SYS_readv, SYS_pread64, SYS_write, SYS_writev, SYS_pwrite64,
    SYS_lseek, SYS_close, SYS_fstat, SYS_ppoll, SYS_fsync, SYS_ftruncate,
    /* Looking for files. */
    SYS_newfstatat, SYS_statx, SYS_readlinkat, SYS_faccessat,
    SYS_faccessat2, SYS_getdents64, SYS_getcwd,
    /* Memory and threads. */
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex,
    SYS_set_robust_list, SYS_rseq, SYS_gettid, SYS_sched_yield,
    SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_exit, SYS_exit_group,
    /* Signals that come. */
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_restart_syscall,
    /* Clocks and questions. */
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep,
    SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_getppid, SYS_getuid,
    SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo,
    SYS_getrusage, SYS_getcpu,
#if defined(__x86_64__) /* other machines have one way only */
    SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_poll, SYS_getrlimit,
#endif
};

static const int files[] = {
    SYS_openat, SYS_flock, SYS_linkat, SYS_renameat2, SYS_unlinkat,
    SYS_fchmod, SYS_umask,
    SYS_memfd_create, SYS_mmap, SYS_mprotect, SYS_get_mempolicy,
#if defined(__x86_64__)
    SYS_open, SYS_rename, SYS_unlink,
#endif
};

static const int programs[] = {
    SYS_clone, SYS_execve, SYS_wait4, SYS_dup3, SYS_set_tid_address,
#if defined(__x86_64__)
    SYS_dup2, SYS_vfork, SYS_arch_prctl,
#endif
};

/* What is refused to the programs of others, of which we do not know what
 * they need. */
static const int refused[] = {
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen,
    SYS_accept, SYS_accept4, SYS_ptrace, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_mount, SYS_umount2, SYS_pivot_root,
    SYS_chroot, SYS_unshare, SYS_setns, SYS_bpf, SYS_perf_event_open,
    SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
    SYS_reboot, SYS_swapon, SYS_swapoff, SYS_settimeofday, SYS_clock_settime,
    SYS_sethostname, SYS_setdomainname, SYS_personality, SYS_acct,
    SYS_quotactl, SYS_nfsservctl, SYS_io_setup, SYS_open_by_handle_at,
    SYS_mq_open, SYS_shmget, SYS_semget, SYS_msgget, SYS_migrate_pages,
    SYS_move_pages, SYS_vhangup, SYS_lookup_dcookie, SYS_fanotify_init,
    425, 426, 427, /* io_uring_setup, _enter, _register */
    438, 440, 434, /* pidfd_getfd, process_madvise, pidfd_open */
};

/* Allowed always, or refused, if an argument, masked, has a value. */
static const struct row {
    int call;
    unsigned char arg;
    uint32_t mask, value;
} checked[] = {
    {SYS_openat, 2, WRITING, O_RDONLY},
    {SYS_mmap, 2, PROT_EXEC, 0},
    {SYS_mprotect, 2, PROT_EXEC, 0},
    {SYS_clone, 0, CLONE_THREAD, CLONE_THREAD},
    {SYS_tgkill, 0, ANY, SELF},
    {SYS_prlimit64, 0, ANY, 0},
    {SYS_fcntl, 1, ANY, F_GETFD},
    {SYS_fcntl, 1, ANY, F_GETFL},
    {SYS_fcntl, 1, ANY, F_DUPFD_CLOEXEC},
    {SYS_ioctl, 1, ANY, TCGETS},
    {SYS_ioctl, 1, ANY, TIOCGWINSZ},
#if defined(__x86_64__)
    {SYS_open, 1, WRITING, O_RDONLY},
#endif
};
/* Keys that nobody pressed, into the terminal that we were started from. */
static const struct row pressed[] = {
    {SYS_ioctl, 1, ANY, TIOCSTI},
    {SYS_ioctl, 1, ANY, TIOCLINUX},
};
/* clang-format on */

#define COUNT(list) (sizeof(list) / sizeof *(list))

enum {
    CODE_MAX = 2 * (COUNT(always) + COUNT(files) + COUNT(programs)) +
               2 * COUNT(refused) + 6 * COUNT(checked) + 16,
};

struct program {
    unsigned short n;
    struct sock_filter code[CODE_MAX];
};

static void put(struct program *p, struct sock_filter op)
{
    p->code[p->n++] = op;
}

static void put_load(struct program *p, size_t offset)
{
    put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                        (uint32_t)offset));
}

/* Go on if the accumulator has the value, else leave SKIP instructions out.
 */
static void put_want(struct program *p, uint32_t value, unsigned char skip)
{
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0,
                                        skip));
}

static void put_return(struct program *p, uint32_t action)
{
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

#ifdef MACHINE
/* The accumulator has the call's number, before and after these. */
static void put_list(struct program *p, const int *calls, size_t n,
                     uint32_t action)
{
    for (size_t i = 0; i < n; i++) {
        put_want(p, (uint32_t)calls[i], 1);
        put_return(p, action);
    }
}

/* Arguments are compared by their low halves: those that are named here are
 * of type int, or flags that the kernel looks for there. */
static void put_row(struct program *p, const struct row *r, uint32_t action)
{
    size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;

    put_want(p, (uint32_t)r->call, 5);
    put_load(p, offsetof(struct seccomp_data, args) + 8u * r->arg + low);
    put(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask));
    put_want(p, r->value == SELF ? (uint32_t)getpid() : r->value, 1);
    put_return(p, action);
    put_load(p, offsetof(struct seccomp_data, nr));
}

/* All but what is refused; calls of other numbers are those of the second
 * interface that x86-64 has, for pointers of 32 bits. */
static void compile_foreign(struct program *p)
{
    put_list(p, refused, COUNT(refused), SECCOMP_RET_ERRNO | EPERM);
    for (size_t i = 0; i < COUNT(pressed); i++)
        put_row(p, &pressed[i], SECCOMP_RET_ERRNO | EPERM);
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000,
                                        0, 1));
    put_return(p, SECCOMP_RET_ERRNO | EPERM);
    put_return(p, SECCOMP_RET_ALLOW);
}

static void compile(struct program *p, unsigned grants)
{
    put_load(p, offsetof(struct seccomp_data, arch));
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1,
                                        0));
    put_return(p, SECCOMP_RET_ERRNO | EPERM);
    put_load(p, offsetof(struct seccomp_data, nr));
    if (grants & FILTER_FOREIGN) {
        compile_foreign(p);
        return;
    }
    /* What clone3 is asked for lies in memory, where a filter cannot look;
     * without it the C library calls clone. */
    put_want(p, SYS_clone3, 1);
    put_return(p, SECCOMP_RET_ERRNO | ENOSYS);
    put_list(p, always, COUNT(always), SECCOMP_RET_ALLOW);
    if (grants & FILTER_FILES)
        put_list(p, files, COUNT(files), SECCOMP_RET_ALLOW);
    if (grants & FILTER_PROGRAMS)
        put_list(p, programs, COUNT(programs), SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < COUNT(checked); i++)
        put_row(p, &checked[i], SECCOMP_RET_ALLOW);
    put_return(p, SECCOMP_RET_ERRNO | EPERM);
}
#endif

bool filter_install(unsigned grants)
{
#ifdef MACHINE
    struct program p = {0};
    struct sock_fprog prog = {.filter = p.code};

    compile(&p, grants);
    prog.len = p.n;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                   SECCOMP_FILTER_FLAG_TSYNC, &prog) == 0;
#else
    (void)grants;
    errno = ENOSYS;
    return false;
#endif
}
