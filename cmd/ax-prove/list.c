/* A list of instances, as competitions have it: a line for each, of network,
 * property and seconds. Each is decided in a process of its own, in its own
 * sandbox, so that what goes wrong with one is an error of that one. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/json.h"
#include "common/sandbox.h"
#include "prove.h"

#define LIST_MAX   ((size_t)1 << 28)
#define GRACE      30 /* seconds, beside twice its own */
#define WORD_BYTES 16

/* What a child says; no more than a pipe takes at once. */
struct outcome {
    ax_status status; /* AX_OK: there is a verdict */
    ax_verdict verdict;
    double seconds;
    uint64_t boxes;
    uint64_t certificate_bytes;
    char engine[WORD_BYTES];
    char reason[512]; /* of an unknown, or the message of an error */
};

struct instance {
    unsigned number; /* from 1 on */
    const char *network, *property;
    double seconds; /* 0: no limit */
    char *paths[2]; /* of network and property, from here */
    char *container;
};

/* ---- the list ---- */

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a list");
}

/* NAME as it is from the folder of the list. */
static char *from_list(const char *list, const char *name)
{
    const char *slash = strrchr(list, '/');
    size_t n = slash && *name != '/' ? (size_t)(slash - list) + 1 : 0;
    char *path = malloc(n + strlen(name) + 1);

    if (!path)
        return NULL;
    memcpy(path, list, n);
    memcpy(path + n, name, strlen(name) + 1);
    return path;
}

/* A name without folders and endings: up to ROOM - 1 characters. */
static void stem(char *buf, size_t room, const char *path)
{
    const char *slash = strrchr(path, '/');
    static const char *const endings[] = {".gz", ".onnx", ".axm", ".vnnlib"};
    size_t n;

    snprintf(buf, room, "%s", slash ? slash + 1 : path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        n = strlen(buf);
        if (n > strlen(endings[i]) &&
            strcmp(buf + n - strlen(endings[i]), endings[i]) == 0)
            buf[n - strlen(endings[i])] = '\0';
    }
}

static char *container_path(const char *dir, const struct instance *in)
{
    char network[100], property[100];
    size_t n = strlen(dir) + sizeof network + sizeof property + 32;
    char *path = malloc(n);

    stem(network, sizeof network, in->network);
    stem(property, sizeof property, in->property);
    if (path)
        snprintf(path, n, "%s/%04u-%s-%s.axm", dir, in->number, network,
                 property);
    return path;
}

static char *trimmed(char *s)
{
    size_t n;

    s += strspn(s, " \t\r");
    for (n = strlen(s); n && strchr(" \t\r", s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

/* NETWORK,PROPERTY[,SECONDS]; the line is cut up. */
static ax_status read_line(struct instance *in, char *line,
                           struct ax_err *err)
{
    char *property = strchr(line, ','), *seconds, *end;

    if (property)
        *property++ = '\0';
    seconds = property ? strchr(property, ',') : NULL;
    if (seconds)
        *seconds++ = '\0';
    in->network = trimmed(line);
    in->property = property ? trimmed(property) : "";
    if (!*in->network || !*in->property)
        return ax_fail(err, AX_EFORMAT, "network,property,seconds is wanted");
    if (!seconds)
        return AX_OK;
    seconds = trimmed(seconds);
    in->seconds = strtod(seconds, &end);
    if (end == seconds || *end || !(in->seconds > 0) || in->seconds > 1 << 30)
        return ax_fail(err, AX_EFORMAT,
                       "a number of seconds is wanted, not '%.40s'", seconds);
    return AX_OK;
}

/* ---- the child ---- */

static void tell(struct outcome *o, const struct job *j, ax_status st,
                 const struct ax_err *err)
{
    const struct ax_prove_result *r = &j->found.result;

    o->status = st;
    o->verdict = r->verdict;
    o->boxes = r->stats.boxes;
    o->certificate_bytes = r->verdict == AX_HOLDS ? j->found.n_payload : 0;
    snprintf(o->engine, sizeof o->engine, "%s", r->engine ? r->engine : "");
    snprintf(o->reason, sizeof o->reason, "%s",
             st == AX_OK ? r->reason : err->msg);
}

static ax_status decide(struct job *j, struct args *a, const struct cmd *cmd,
                        double began, struct ax_err *err)
{
    ax_status st = job_read(j, a, err);

    if (st == AX_UNDECIDED)
        return AX_OK;
    AX_TRY(st);
    if (a->seconds > 0) { /* those that reading took count too */
        a->seconds -= job_clock() - began;
        a->seconds = a->seconds > 1e-6 ? a->seconds : 1e-6;
    }
    AX_TRY(job_decide(j, a, err));
    if (j->found.result.verdict == AX_UNKNOWN)
        return AX_OK;
    if (a->cert || a->check)
        AX_TRY(attach(j, a, cmd, err));
    if (a->check)
        AX_TRY(ask_check(j, a, err));
    if (a->cert)
        AX_TRY(cmd_model_write(j->model, a->out, AX_PROFILE_ZSTD, 0, err));
    return AX_OK;
}

static void child(int fd, const struct instance *in, const struct args *list,
                  const struct cmd *cmd)
{
    struct cmd_sandbox box = {
        .cmd = cmd, .writes = {in->container}, .programs = list->check};
    struct outcome o = {0};
    struct args a = *list;
    struct job j = {0};
    struct ax_err err = {0};
    double began = job_clock();
    char task[64];
    ax_status st;

    a.model = in->paths[0];
    a.property = in->paths[1];
    a.out = in->container;
    a.cert = in->container != NULL;
    a.foreign = true;
    a.seconds = in->seconds > 0 && (a.seconds <= 0 || in->seconds < a.seconds)
                    ? in->seconds
                    : a.seconds;
    snprintf(task, sizeof task, "%u", in->number);
    j.task = task;
    limit_memory(a.memory_mib);
    st = cmd_sandbox_enter(&box, &err);
    if (st == AX_OK) {
        cmd_progress_start(&j.progress);
        st = decide(&j, &a, cmd, began, &err);
        cmd_progress_end(&j.progress);
    }
    tell(&o, &j, st, &err);
    if (write(fd, &o, sizeof o) != (ssize_t)sizeof o)
        _exit(70);
    _exit(0);
}

/* ---- the parent ---- */

/* The child's word, if it comes in time. */
static bool hear(struct outcome *o, int fd, double seconds)
{
    double until = job_clock() + 2 * seconds + GRACE;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready;

    do {
        double left = until - job_clock();

        ready = poll(&p, 1,
                     seconds <= 0 ? -1
                     : left <= 0  ? 0
                     : left > 1e6 ? 1000000000
                                  : (int)ceil(1e3 * left));
    } while (ready < 0 && errno == EINTR);
    return ready > 0 && read(fd, o, sizeof *o) == (ssize_t)sizeof *o;
}

static void reap(struct outcome *o, pid_t pid, bool heard)
{
    int status = 0;
    bool late = false;

    if (!heard) {
        late = waitpid(pid, &status, WNOHANG) == 0;
        /* It has closed the pipe, and is about to end, or it is stuck. */
        for (int i = 0; late && i < 100; i++) {
            poll(NULL, 0, 10);
            late = waitpid(pid, &status, WNOHANG) == 0;
        }
        if (late)
            kill(pid, SIGKILL);
    }
    if (heard || late)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    if (heard)
        return;
    *o = (struct outcome){.status = late ? AX_OK : AX_EBUG};
    if (late)
        snprintf(o->reason, sizeof o->reason, "it did not stop in time");
    else if (WIFSIGNALED(status))
        snprintf(o->reason, sizeof o->reason, "ended by signal %d (%s)",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(o->reason, sizeof o->reason, "ended with exit code %d",
                 WEXITSTATUS(status));
}

static ax_status run(struct outcome *o, const struct instance *in,
                     const struct args *a, const struct cmd *cmd,
                     struct ax_err *err)
{
    double began = job_clock();
    int fds[2];
    pid_t pid, parent = getpid();

    fflush(NULL);
    if (pipe(fds) != 0)
        return ax_fail(err, AX_EUNAVAILABLE, "no pipe: %s", strerror(errno));
    pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return ax_fail(err, AX_EUNAVAILABLE, "no process: %s",
                       strerror(errno));
    }
    if (pid == 0) {
        close(fds[0]);
        /* Whoever ends the list ends its instance. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
            _exit(70);
        child(fds[1], in, a, cmd);
    }
    close(fds[1]);
    reap(o, pid,
         hear(o, fds[0],
              in->seconds > 0 && a->seconds > 0
                  ? fmin(in->seconds, a->seconds)
                  : fmax(in->seconds, a->seconds)));
    close(fds[0]);
    o->seconds = job_clock() - began;
    return AX_OK;
}

static const char *word(const struct outcome *o)
{
    return o->status == AX_OK ? ax_verdict_name(o->verdict) : "error";
}

static ax_status say(const struct instance *in, const struct outcome *o,
                     const struct args *a, struct ax_err *err)
{
    json_t *obj;

    if (!a->json) {
        printf("%u %s %.3f ", in->number, word(o), o->seconds);
        cmd_text(stdout, in->network);
        putchar(' ');
        cmd_text(stdout, in->property);
        if (*o->reason) {
            fputs(": ", stdout);
            cmd_text(stdout, o->reason);
        }
        putchar('\n');
    } else {
        obj = json_pack("{s:i, s:s, s:f, s:I}", "instance", (int)in->number,
                        "verdict", word(o), "seconds", o->seconds, "boxes",
                        (json_int_t)o->boxes);
        cmd_json_put(&obj, "network", cmd_json_text(in->network));
        cmd_json_put(&obj, "property", cmd_json_text(in->property));
        if (in->seconds > 0)
            cmd_json_put(&obj, "limit", json_real(in->seconds));
        if (*o->engine)
            cmd_json_put(&obj, "engine", cmd_json_text(o->engine));
        if (*o->reason)
            cmd_json_put(&obj, "reason", cmd_json_text(o->reason));
        if (o->certificate_bytes)
            cmd_json_put(&obj, "certificate_bytes",
                         json_integer((json_int_t)o->certificate_bytes));
        if (in->container && o->status == AX_OK && o->verdict != AX_UNKNOWN)
            cmd_json_put(&obj, "container", cmd_json_text(in->container));
        AX_TRY(cmd_json("ax.prove.instance/1", obj, err));
    }
    if (fflush(stdout) != 0)
        return ax_fail(err, AX_EIO, "standard output: %s", strerror(errno));
    return AX_OK;
}

static ax_status instance(struct instance *in, const struct args *a,
                          const struct cmd *cmd, struct outcome *o,
                          struct ax_err *err)
{
    ax_status st = AX_OK;

    in->paths[0] = from_list(a->list, in->network);
    in->paths[1] = from_list(a->list, in->property);
    if (a->cert_dir)
        in->container = container_path(a->cert_dir, in);
    if (!in->paths[0] || !in->paths[1] || (a->cert_dir && !in->container))
        st = no_memory(err);
    if (st == AX_OK)
        st = run(o, in, a, cmd, err);
    if (st == AX_OK)
        st = say(in, o, a, err);
    free(in->paths[0]);
    free(in->paths[1]);
    free(in->container);
    return st;
}

/* A number from 1 on; *end is what follows it. */
static unsigned counting(const char *s, char **end)
{
    unsigned long v = *s >= '1' && *s <= '9' ? strtoul(s, end, 10) : 0;

    return v < 1000000000 ? (unsigned)v : 0;
}

/* I/N of --shard; both stay as they are without it. */
static ax_status read_shard(unsigned *i, unsigned *n, const char *text,
                            struct ax_err *err)
{
    char *end;

    if (!text)
        return AX_OK;
    *i = counting(text, &end);
    *n = *i && *end == '/' ? counting(end + 1, &end) : 0;
    if (!*n || *end || *i > *n)
        return ax_fail(err, AX_EUSAGE,
                       "--shard wants I/N, I from 1 to N, not '%.40s'", text);
    return AX_OK;
}

/* How bad is it, for the exit status: the worst counts. */
static int badness(ax_status st)
{
    return st == AX_OK ? 0 : st == AX_NO ? 1 : st == AX_UNDECIDED ? 2 : 3;
}

static ax_status status_of(const struct outcome *o)
{
    static const ax_status status[] = {[AX_UNKNOWN] = AX_UNDECIDED,
                                       [AX_HOLDS] = AX_OK,
                                       [AX_VIOLATED] = AX_NO};

    return o->status == AX_OK ? status[o->verdict] : o->status;
}

/* Every line is looked at before the first instance is begun. */
static ax_status lines(char *text, const struct args *a,
                       const struct cmd *cmd, bool dry, ax_status *worst,
                       struct ax_err *err)
{
    unsigned shard = 1, shards = 1, number = 0, line = 0;
    char *copy = strdup(text), *next = copy, *at;
    ax_status st = copy ? read_shard(&shard, &shards, a->shard, err)
                        : no_memory(err);

    while (st == AX_OK && (at = strsep(&next, "\n"))) {
        struct instance in = {0};
        struct outcome o = {0};

        line++;
        if (!*trimmed(at))
            continue;
        in.number = ++number;
        st = read_line(&in, at, err);
        if (st != AX_OK)
            st = ax_fail_in(err, "%s:%u", a->list, line);
        if (st != AX_OK || dry || (number - 1) % shards != shard - 1)
            continue;
        st = instance(&in, a, cmd, &o, err);
        if (st == AX_OK && badness(status_of(&o)) > badness(*worst))
            *worst = status_of(&o);
        /* What the kernel lacks was said once. */
        if (!getenv("AX_SANDBOX"))
            setenv("AX_SANDBOX", "quiet", 1);
    }
    free(copy);
    return st;
}

ax_status list_decide(const struct args *a, const struct cmd *cmd,
                      struct ax_err *err)
{
    unsigned char *text;
    size_t n;
    ax_status st, worst = AX_OK;

    AX_TRY(cmd_in_read(&text, &n, a->list, LIST_MAX, err));
    st = strlen((char *)text) != n
             ? ax_fail(err, AX_EFORMAT, "%s: is no text", a->list)
             : lines((char *)text, a, cmd, true, &worst, err);
    if (st == AX_OK)
        st = lines((char *)text, a, cmd, false, &worst, err);
    free(text);
    if (st != AX_OK)
        return st;
    if (badness(worst) == 3) /* it was said, with its instance */
        return ax_fail(err, worst, "an instance ended with an error");
    return worst;
}
