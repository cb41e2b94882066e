/* Runs on an MLflow server, through its REST interface, version 2.0. The
 * sandbox forbids the network, so a messenger is started before it is
 * entered: a process that takes requests from a pair of sockets and brings
 * the answers. It reads nothing but what we and the server say, over plain
 * HTTP/1.0. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "ax-train/track.h"

#define API        "/api/2.0/mlflow/"
#define ANSWER_MAX ((size_t)1 << 20)
#define WAIT_S     20

struct mlflow {
    int fd;
    char *run;      /* its id */
    char host[420]; /* and port */
};

/* -- the messenger --------------------------------------------------------
 */

static bool send_all(int fd, const void *p, size_t n)
{
    const char *c = p;

    while (n) {
        ssize_t k = write(fd, c, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        c += k;
        n -= (size_t)k;
    }
    return true;
}

static bool receive_all(int fd, void *p, size_t n)
{
    char *c = p;

    while (n) {
        ssize_t k = read(fd, c, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        c += k;
        n -= (size_t)k;
    }
    return true;
}

static int reach(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval wait = {.tv_sec = WAIT_S};
    struct addrinfo *list = NULL;
    int fd = -1;

    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

/* One request of N bytes; the answer, head and all, of *got bytes. */
static bool exchange(const char *host, const char *port, const void *request,
                     size_t n, char *answer, size_t *got)
{
    int fd = reach(host, port);
    bool good = fd >= 0 && send_all(fd, request, n);
    ssize_t k;

    *got = 0;
    while (good && *got < ANSWER_MAX &&
           (k = read(fd, answer + *got, ANSWER_MAX - *got)) != 0) {
        good = k > 0 || errno == EINTR;
        *got += k > 0 ? (size_t)k : 0;
    }
    if (fd >= 0)
        close(fd);
    return good;
}

/* Requests and answers go with their length in front; no answer is 0. */
static void serve(int fd, const char *host, const char *port)
{
    char *answer = malloc(ANSWER_MAX), *request = NULL;
    uint64_t n;

    while (answer && receive_all(fd, &n, sizeof n) && n <= ANSWER_MAX) {
        uint64_t size = 0;
        size_t got = 0;

        free(request);
        request = malloc(n + 1);
        if (!request || !receive_all(fd, request, n))
            break;
        if (exchange(host, port, request, n, answer, &got))
            size = got;
        if (!send_all(fd, &size, sizeof size) || !send_all(fd, answer, size))
            break;
    }
    free(request);
    free(answer);
}

static ax_status start_messenger(struct mlflow *m, const char *host,
                                 const char *port, struct ax_err *err)
{
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return ax_fail(err, AX_EUNAVAILABLE, "%s", strerror(errno));
    pid = fork();
    if (pid == 0) {
        /* A grandchild, which nobody has to wait for; it holds no output
         * open that a reader of ours waits for the end of. */
        close(pair[0]);
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        if (fork() == 0)
            serve(pair[1], host, port);
        _exit(0);
    }
    close(pair[1]);
    m->fd = pair[0];
    return pid < 0 ? ax_fail(err, AX_EUNAVAILABLE, "%s", strerror(errno))
                   : AX_OK;
}

/* -- requests -------------------------------------------------------------
 */

static ax_status refused(const char *answer, int code, json_t *said,
                         struct ax_err *err)
{
    const char *why = json_string_value(json_object_get(said, "message"));

    if (code == 0)
        return ax_fail(err, AX_EUNAVAILABLE, "%s",
                       answer ? "the server speaks no HTTP"
                              : "no server answers");
    return ax_fail(err, AX_EUNAVAILABLE, "the server says %d: %.200s", code,
                   why ? why : "");
}

static ax_status deliver(struct mlflow *m, const struct bytes *request,
                         char **answer, struct ax_err *err)
{
    uint64_t n = request->n;

    *answer = NULL;
    if (request->failed)
        return ax_fail(err, AX_ENOMEM, "no memory for a request");
    if (!send_all(m->fd, &n, sizeof n) || !send_all(m->fd, request->p, n) ||
        !receive_all(m->fd, &n, sizeof n) || n > ANSWER_MAX)
        return ax_fail(err, AX_EUNAVAILABLE, "the messenger is gone");
    if (n == 0)
        return AX_OK;
    *answer = malloc(n + 1);
    if (!*answer)
        return ax_fail(err, AX_ENOMEM, "no memory for an answer");
    (*answer)[n] = '\0';
    return receive_all(m->fd, *answer, n)
               ? AX_OK
               : ax_fail(err, AX_EUNAVAILABLE, "the messenger is gone");
}

/* POST BODY, which is taken; *out is what the server says. *code: NULL, and
 * all but 200 is an error, or where it goes. */
static ax_status post(struct mlflow *m, const char *call, json_t *body,
                      json_t **out, int *code, struct ax_err *err)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    char *answer = NULL, *end, head[1024];
    struct bytes request = {0};
    json_t *said = NULL;
    int status = 0;
    ax_status st;

    json_decref(body);
    *out = NULL;
    if (!text)
        return ax_fail(err, AX_ENOMEM, "no memory for a request");
    snprintf(head, sizeof head,
             "POST " API "%s HTTP/1.0\r\nHost: %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             call, m->host, strlen(text));
    bytes_add(&request, head, strlen(head));
    bytes_add(&request, text, strlen(text));
    free(text);
    st = deliver(m, &request, &answer, err);
    free(request.p);
    if (st == AX_OK && answer && strncmp(answer, "HTTP/1.", 7) == 0) {
        status = (int)strtol(answer + 8, NULL, 10);
        end = strstr(answer, "\r\n\r\n");
        said = end ? json_loads(end + 4, 0, NULL) : NULL;
    }
    if (code)
        *code = status;
    if (st == AX_OK && (code ? status == 0 : status != 200))
        st = refused(answer, status, said, err);
    free(answer);
    *out = said;
    return st;
}

/* A request whose answer does not matter. */
static ax_status tell(struct mlflow *m, const char *call, json_t *body,
                      struct ax_err *err)
{
    json_t *said;
    ax_status st = post(m, call, body, &said, NULL, err);

    json_decref(said);
    return st;
}

static ax_status find_experiment(struct mlflow *m, char id[64],
                                 const char *name, struct ax_err *err)
{
    json_t *said, *list;
    int code = 0;
    ax_status st = post(m, "experiments/create",
                        json_pack("{s:s}", "name", name), &said, &code, err);

    if (st == AX_OK && code != 200) { /* it may be there */
        char filter[512];

        json_decref(said);
        snprintf(filter, sizeof filter, "name = '%.200s'", name);
        st = post(m, "experiments/search",
                  json_pack("{s:i,s:s}", "max_results", 1, "filter", filter),
                  &said, NULL, err);
        list = json_array_get(json_object_get(said, "experiments"), 0);
        json_incref(list);
        json_decref(said);
        said = list;
    }
    snprintf(id, 64, "%.60s",
             st == AX_OK && json_object_get(said, "experiment_id")
                 ? json_string_value(json_object_get(said, "experiment_id"))
                 : "");
    json_decref(said);
    return st == AX_OK && !*id
               ? ax_fail(err, AX_EUNAVAILABLE,
                         "the server has no experiment '%s'", name)
               : st;
}

static ax_status create_run(struct mlflow *m, const char *experiment,
                            const struct track_run *run, struct ax_err *err)
{
    json_t *said = NULL, *info, *params = json_array(), *value;
    const char *id, *key;
    ax_status st = post(
        m, "runs/create",
        json_pack("{s:s,s:I,s:s}", "experiment_id", experiment, "start_time",
                  (json_int_t)(run->time * 1000), "run_name", run->name),
        &said, NULL, err);

    info = json_object_get(json_object_get(said, "run"), "info");
    id = json_string_value(json_object_get(info, "run_id"));
    if (st == AX_OK && (!id || !(m->run = strdup(id))))
        st = ax_fail(err, AX_EUNAVAILABLE, "the server made no run");
    json_decref(said);
    json_object_foreach(run->config, key, value)
    {
        char *text = json_is_string(value)
                         ? strdup(json_string_value(value))
                         : json_dumps(value, JSON_ENCODE_ANY |
                                                 JSON_REAL_PRECISION(12));

        json_array_append_new(params, json_pack("{s:s,s:s}", "key", key,
                                                "value", text ? text : ""));
        free(text);
    }
    if (st != AX_OK) {
        json_decref(params);
        return st;
    }
    return tell(m, "runs/log-batch",
                json_pack("{s:s,s:o}", "run_id", m->run, "params", params),
                err);
}

static void mlflow_free(void *state)
{
    struct mlflow *m = state;

    if (m->fd >= 0)
        close(m->fd);
    free(m->run);
    free(m);
}

/* http://HOST[:PORT][/EXPERIMENT] */
static ax_status read_place(const char *place, char *host, char *port,
                            char *experiment, size_t room, struct ax_err *err)
{
    const char *at = place + 7;
    size_t n = strcspn(strncmp(place, "http://", 7) ? "" : at, "/:");

    if (strncmp(place, "http://", 7) != 0 || n == 0 || n >= room)
        return ax_fail(err, AX_EUSAGE,
                       "--track mlflow:%.60s: wants "
                       "http://HOST[:PORT][/EXPERIMENT]",
                       place);
    memcpy(host, at, n);
    host[n] = '\0';
    at += n;
    snprintf(port, room, "80");
    if (*at == ':') {
        n = strcspn(++at, "/");
        snprintf(port, room, "%.*s", (int)(n < 16 ? n : 16), at);
        at += n;
    }
    snprintf(experiment, room, "%s", *at && at[1] ? at + 1 : "ax-train");
    if (strchr(experiment, '\''))
        return ax_fail(err, AX_EUSAGE, "a quote in the experiment's name");
    return AX_OK;
}

static ax_status mlflow_open(void **state, const char *place,
                             const struct track_run *run, struct ax_err *err)
{
    char host[200], port[200], experiment[200], id[64];
    struct mlflow *m;

    AX_TRY(read_place(place, host, port, experiment, sizeof host, err));
    *state = m = calloc(1, sizeof *m);
    if (!m)
        return ax_fail(err, AX_ENOMEM, "no memory to follow a run");
    m->fd = -1;
    snprintf(m->host, sizeof m->host, "%s:%s", host, port);
    if (start_messenger(m, host, port, err) != AX_OK ||
        find_experiment(m, id, experiment, err) != AX_OK ||
        create_run(m, id, run, err) != AX_OK)
        return ax_fail_in(err, "--track mlflow:%s", place);
    return AX_OK;
}

static ax_status mlflow_event(void *state, const struct event *e, double time,
                              struct ax_err *err)
{
    struct mlflow *m = state;
    json_t *list = json_array();

    for (size_t i = 0; i < e->n; i++)
        json_array_append_new(list, json_pack("{s:s,s:f,s:I,s:I}", "key",
                                              e->v[i].name, "value",
                                              e->v[i].value, "timestamp",
                                              (json_int_t)(time * 1000),
                                              "step", (json_int_t)e->epoch));
    return tell(m, "runs/log-batch",
                json_pack("{s:s,s:o}", "run_id", m->run, "metrics", list),
                err);
}

static ax_status mlflow_finish(void *state, bool good, double time,
                               struct ax_err *err)
{
    struct mlflow *m = state;

    return tell(m, "runs/update",
                json_pack("{s:s,s:s,s:I}", "run_id", m->run, "status",
                          good ? "FINISHED" : "FAILED", "end_time",
                          (json_int_t)(time * 1000)),
                err);
}

const struct track_kind track_mlflow = {"mlflow", mlflow_open, mlflow_event,
                                        mlflow_finish, mlflow_free};
