// The soak worker in C. tests/soak/README.md describes it.

#define _POSIX_C_SOURCE 200809L

#include <nightcore.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BASE = 10, NS_PER_MS = 1000000, MS_PER_S = 1000, EXIT_CODE = 3, MAX_FAN = 64 };

static int ran;
static const char *own_name;

// Returns the first value of that name as text, or an empty text if there is none. The caller frees
// the text.
static char *metadata_text(const nc_request *req, const char *name) {
    nc_bytes value = {NULL, 0};
    if (nc_request_metadata(req, name, &value) != NC_OK) value = (nc_bytes){NULL, 0};
    char *text = calloc(value.len + 1, 1);
    if (text == NULL) abort();
    if (value.len > 0) memcpy(text, value.data, value.len);
    return text;
}

static nc_bytes bytes_of(const char *text) {
    return (nc_bytes){(const uint8_t *)text, strlen(text)};
}

static void wait_ms(long ms) {
    struct timespec left = {ms / MS_PER_S, ms % MS_PER_S * NS_PER_MS};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

// Allocates memory until there is none left, like a handler with a leak.
static _Noreturn void eat(void) {
    enum { BITE = 1 << 20 };
    for (;;) {
        char *bite = malloc(BITE);
        if (bite == NULL) abort();
        memset(bite, 1, BITE);
        // Without this, the compiler could drop memory that is never read.
        __asm__ volatile("" : : "r"(bite) : "memory");
    }
}

static int32_t leaf(nc_request *req, const char *what) {
    const nc_bytes body = nc_request_body(req);
    char line[64];
    const uint8_t *end = body.len > 0 ? memchr(body.data, '|', body.len) : NULL;
    if (end == NULL) return nc_fail(req, "the body has no id");
    const int len = snprintf(line, sizeof line, "%.*s\n", (int)(end - body.data),
                             (const char *)body.data);
    // At most PIPE_BUF bytes, so that the write is atomic.
    if (write(ran, line, (size_t)len) != len) return nc_fail(req, "cannot tell that it ran");
    if (strncmp(what, "sleep:", 6) == 0) wait_ms(strtol(what + 6, NULL, BASE));
    if (strcmp(what, "exit") == 0) _exit(EXIT_CODE);
    if (strcmp(what, "eat") == 0) eat();
    if (strcmp(what, "say") == 0) {
        printf("%s", line);
        fflush(stdout);
    }
    const nc_bytes parts[] = {body, NC_LITERAL("!"), bytes_of(own_name)};
    return nc_reply_with(req, parts, 3, NULL, 0);
}

static int32_t fan(nc_request *req, size_t count, const char *callee,
                   const nc_call_options *options) {
    nc_answer *answers[MAX_FAN] = {NULL};
    nc_bytes parts[MAX_FAN + 2];
    int32_t rc = NC_OK;
    if (count > MAX_FAN) return nc_fail(req, "more calls at once than it can make");
    for (size_t i = 0; i < count && rc == NC_OK; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu.", i);
        const nc_bytes body[] = {bytes_of(number), nc_request_body(req), NC_LITERAL(">"),
                                 bytes_of(own_name)};
        rc = nc_call_start(req, i, callee, body, 4, options, NULL);
    }
    for (size_t i = 0; i < count && rc == NC_OK; i++) {
        uint64_t tag = 0;
        nc_answer *answer = NULL;
        rc = nc_next_answer(req, UINT64_MAX, &tag, &answer, NULL);
        if (rc == NC_OK) answers[tag] = answer;
    }
    if (rc == NC_OK) {
        for (size_t i = 0; i < count; i++) parts[i] = nc_answer_body(answers[i]);
        parts[count] = NC_LITERAL("<");
        parts[count + 1] = bytes_of(own_name);
        rc = nc_reply_with(req, parts, count + 2, NULL, 0);
    }
    for (size_t i = 0; i < count; i++) nc_answer_free(answers[i]);
    return rc;
}

static int32_t forward(nc_request *req, const char *callee, const nc_call_options *options) {
    const nc_bytes body[] = {nc_request_body(req), NC_LITERAL(">"), bytes_of(own_name)};
    nc_answer *answer = NULL;
    int32_t rc = nc_call_with(req, callee, body, 3, options, &answer, NULL);
    if (rc == NC_OK) {
        const nc_bytes parts[] = {nc_answer_body(answer), NC_LITERAL("<"), bytes_of(own_name)};
        rc = nc_reply_with(req, parts, 3, NULL, 0);
    }
    nc_answer_free(answer);
    return rc;
}

static int32_t handle(nc_request *req, void *user) {
    (void)user;
    char *route = metadata_text(req, "route");
    char *what = metadata_text(req, "do");
    char *count = metadata_text(req, "fan");
    int32_t rc;
    if (route[0] == '\0') {
        rc = leaf(req, what);
    } else {
        char *rest = strchr(route, ',');
        if (rest != NULL) *rest++ = '\0';
        const nc_pair pairs[] = {{NC_LITERAL("route"), bytes_of(rest != NULL ? rest : "")},
                                 {NC_LITERAL("do"), bytes_of(what)}};
        const nc_call_options options = {
            .struct_size = sizeof options, .metadata = pairs, .metadata_count = 2};
        rc = count[0] != '\0' ? fan(req, strtoul(count, NULL, BASE), route, &options)
                              : forward(req, route, &options);
    }
    free(count);
    free(what);
    free(route);
    return rc;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s RAN NAME\n", argv[0]);
        return 2;
    }
    ran = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (ran < 0) {
        perror(argv[1]);
        return 1;
    }
    own_name = argv[2];
    if (nc_handle(own_name, handle, NULL) != NC_OK) return 2;
    return nc_serve();
}
