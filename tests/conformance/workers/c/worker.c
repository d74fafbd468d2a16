// The conformance worker in C. SPEC.md describes each case.

#define _POSIX_C_SOURCE 200809L

#include <nightcore.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BASE = 10, NS_PER_MS = 1000000, MS_PER_S = 1000 };

// A status that the ABI does not define, as a handler with a defect might return.
static const int32_t NO_STATUS = -77;

// Returns the bytes as zero-terminated text, which the caller frees. Aborts without memory.
static char *text_of(nc_bytes bytes) {
    char *text = malloc(bytes.len + 1);
    if (text == NULL) abort();
    if (bytes.len > 0) memcpy(text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
    return text;
}

// Returns the first metadata value of that name as text, which the caller frees. The text is empty
// if there is none.
static char *metadata_text(const nc_request *req, const char *name) {
    nc_bytes value = {NULL, 0};
    if (nc_request_metadata(req, name, &value) != NC_OK) value = (nc_bytes){NULL, 0};
    return text_of(value);
}

static uint64_t number_in(nc_bytes bytes) {
    char *text = text_of(bytes);
    const uint64_t number = strtoull(text, NULL, BASE);
    free(text);
    return number;
}

static int32_t reply_text(nc_request *req, const char *text) {
    return nc_reply(req, (nc_bytes){(const uint8_t *)text, strlen(text)});
}

static int32_t reply_number(nc_request *req, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return reply_text(req, text);
}

static void wait_ms(uint64_t ms) {
    struct timespec left = {(time_t)(ms / MS_PER_S), (long)(ms % MS_PER_S) * NS_PER_MS};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

// Prints a word and bytes as one line.
static void print_line(const char *word, nc_bytes bytes) {
    printf("%s%.*s\n", word, (int)bytes.len, bytes.len > 0 ? (const char *)bytes.data : "");
    fflush(stdout);
}

// Cases that answer with the request's body.

static int32_t echo(nc_request *req) { return nc_reply(req, nc_request_body(req)); }

static int32_t answer_changed(nc_request *req, uint8_t (*change)(uint8_t)) {
    const nc_bytes body = nc_request_body(req);
    nc_buffer *buffer = NULL;
    const int32_t rc = nc_buffer_new(req, body.len, &buffer);
    if (rc != NC_OK) return rc;
    uint8_t *to = nc_buffer_data(buffer);
    for (size_t i = 0; i < body.len; i++) to[i] = change(body.data[i]);
    return nc_reply_buffer(req, buffer, body.len, NULL, 0);
}

static uint8_t upper_byte(uint8_t byte) {
    return byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte;
}
static int32_t upper(nc_request *req) { return answer_changed(req, upper_byte); }

static uint8_t inverted_byte(uint8_t byte) { return (uint8_t)~byte; }
static int32_t binary(nc_request *req) { return answer_changed(req, inverted_byte); }

static int32_t count(nc_request *req) { return reply_number(req, nc_request_body(req).len); }

static int32_t big(nc_request *req) {
    enum { PERIOD = 251 };
    const size_t len = number_in(nc_request_body(req));
    nc_buffer *buffer = NULL;
    const int32_t rc = nc_buffer_new(req, len, &buffer);
    if (rc != NC_OK) return rc;
    uint8_t *to = nc_buffer_data(buffer);
    for (size_t i = 0; i < len; i++) to[i] = (uint8_t)(i % PERIOD);
    return nc_reply_buffer(req, buffer, len, NULL, 0);
}

// Cases that fail.

static int32_t fail(nc_request *req) {
    char *message = text_of(nc_request_body(req));
    const int32_t rc = nc_fail(req, message);
    free(message);
    return rc;
}

static int32_t error(nc_request *req) {
    char *text = text_of(nc_request_body(req));
    const int32_t rc = nc_fail_unexpectedly(req, text);
    free(text);
    return rc;
}

static int32_t throw_defect(nc_request *req) {
    (void)req;
    return NO_STATUS;
}

static int32_t crash(nc_request *req) {
    enum { EXIT_CODE = 3 };
    (void)req;
    _Exit(EXIT_CODE);
}

// Cases about time.

static int32_t sleep_then_answer(nc_request *req) {
    wait_ms(number_in(nc_request_body(req)));
    return reply_text(req, "slept");
}

static int32_t deadline(nc_request *req) {
    return reply_number(req, nc_request_time_left_ns(req) / NS_PER_MS);
}

static int32_t wait_for_cancel(nc_request *req) {
    print_line("waiting ", nc_request_body(req));
    while (!nc_request_cancelled(req)) wait_ms(1);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const nc_bytes body = nc_request_body(req);
    printf("cancelled %.*s: %s\n", (int)body.len, (const char *)body.data,
           nc_status_name(nc_request_cancel_reason(req)));
    printf("noticed %.*s at %" PRIu64 "\n", (int)body.len, (const char *)body.data,
           (uint64_t)now.tv_sec * MS_PER_S * NS_PER_MS + (uint64_t)now.tv_nsec);
    fflush(stdout);
    return NC_OK;
}

// Cases that call other functions.

// The callee, the case and the timeout that a request's metadata names. `asked_free` frees it.
typedef struct {
    char *target;
    char *to;
    uint64_t timeout_ns;
} asked;

static asked asked_by(const nc_request *req) {
    char *timeout = metadata_text(req, "timeout-ms");
    const asked callee = {metadata_text(req, "target"), metadata_text(req, "to"),
                         strtoull(timeout, NULL, BASE) * NS_PER_MS};
    free(timeout);
    return callee;
}

static void asked_free(asked callee) {
    free(callee.target);
    free(callee.to);
}

static nc_pair pair(nc_bytes name, const char *value) {
    return (nc_pair){name, {(const uint8_t *)value, strlen(value)}};
}

static nc_call_options options_of(const nc_pair *pairs, size_t count) {
    return (nc_call_options){
        .struct_size = sizeof(nc_call_options), .metadata = pairs, .metadata_count = count};
}

static int32_t call(nc_request *req) {
    const asked callee = asked_by(req);
    const nc_pair to = pair(NC_LITERAL("case"), callee.to);
    const nc_call_options options = options_of(&to, 1);
    const nc_bytes body = nc_request_body(req);
    nc_answer *answer = NULL;
    int32_t rc = nc_call_with(req, callee.target, &body, 1, &options, &answer, NULL);
    if (rc == NC_OK) rc = nc_reply(req, nc_answer_body(answer));
    nc_answer_free(answer);
    asked_free(callee);
    return rc;
}

// Answers with the error and its causes, in the lines that the case `catch` defines.
static int32_t describe(nc_request *req, const nc_error *error) {
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (to == NULL) return nc_fail(req, "out of memory");
    fprintf(to, "%s\n%s\n%s", nc_status_name(nc_error_status(error)), nc_error_function(error),
            nc_error_message(error));
    for (size_t i = 0; i < nc_error_cause_count(error); i++) {
        const nc_error *cause = nc_error_cause_at(error, i);
        fprintf(to, "\n%s %s", nc_error_function(cause), nc_status_name(nc_error_status(cause)));
    }
    fclose(to);
    const int32_t rc = reply_text(req, text);
    free(text);
    return rc;
}

static int32_t catch_error(nc_request *req) {
    const asked callee = asked_by(req);
    const nc_pair to = pair(NC_LITERAL("case"), callee.to);
    nc_call_options options = options_of(&to, 1);
    options.timeout_ns = callee.timeout_ns;
    const nc_bytes body = nc_request_body(req);
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    int32_t rc = nc_call_with(req, callee.target, &body, 1, &options, &answer, &error);
    if (rc == NC_OK) {
        const nc_bytes parts[] = {NC_LITERAL("OK\n"), nc_answer_body(answer)};
        rc = nc_reply_with(req, parts, 2, NULL, 0);
    } else {
        rc = describe(req, error);
    }
    nc_error_free(error);
    nc_answer_free(answer);
    asked_free(callee);
    return rc;
}

static int32_t mistake(nc_request *req) {
    char *texts[] = {metadata_text(req, "target"), metadata_text(req, "size"),
                     metadata_text(req, "value"), metadata_text(req, "timeout-ms"),
                     metadata_text(req, "by")};
    const size_t size = strtoull(texts[1], NULL, BASE), len = strtoull(texts[2], NULL, BASE);
    uint8_t *bytes = calloc((size > len ? size : len) + 1, 1);
    if (bytes == NULL) abort();
    nc_pair pairs[] = {pair(NC_LITERAL("case"), "echo"), {.value = {bytes, len}}};
    const size_t count = nc_request_metadata(req, "name", &pairs[1].name) == NC_OK ? 2 : 1;
    nc_call_options options = options_of(pairs, count);
    options.timeout_ns = strtoull(texts[3], NULL, BASE) * NS_PER_MS;
    const nc_bytes body = {bytes, size};
    nc_answer *answer = NULL;
    const int32_t rc = strcmp(texts[4], "process") == 0
                           ? nc_process_call(texts[0], &body, 1, &options, &answer, NULL)
                           : nc_call_with(req, texts[0], &body, 1, &options, &answer, NULL);
    nc_answer_free(answer);
    free(bytes);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    return reply_text(req, nc_status_name(rc));
}

// Begins `count` calls, then waits for their answers. answers[i] becomes the answer of call i.
static int32_t call_all(nc_request *req, asked callee, size_t count, nc_answer **answers) {
    const nc_pair to = pair(NC_LITERAL("case"), callee.to);
    const nc_call_options options = options_of(&to, 1);
    for (size_t i = 0; i < count; i++) {
        char text[24];
        const int len = snprintf(text, sizeof text, "%zu", i);
        const nc_bytes body = {(const uint8_t *)text, (size_t)len};
        const int32_t rc = nc_call_start(req, i, callee.target, &body, 1, &options, NULL);
        if (rc != NC_OK) return rc;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t tag = 0;
        nc_answer *answer = NULL;
        const int32_t rc = nc_next_answer(req, UINT64_MAX, &tag, &answer, NULL);
        if (rc != NC_OK) return rc;
        answers[tag] = answer;
    }
    return NC_OK;
}

static int32_t fan_out(nc_request *req) {
    const size_t count = number_in(nc_request_body(req));
    const asked callee = asked_by(req);
    nc_answer **answers = calloc(count + 1, sizeof *answers);
    nc_bytes *parts = calloc(2 * count + 1, sizeof *parts);
    if (answers == NULL || parts == NULL) abort();
    int32_t rc = call_all(req, callee, count, answers);
    if (rc == NC_OK) {
        for (size_t i = 0; i < count; i++) {
            parts[2 * i] = nc_answer_body(answers[i]);
            parts[2 * i + 1] = NC_LITERAL(";");
        }
        rc = nc_reply_with(req, parts, 2 * count, NULL, 0);
    }
    for (size_t i = 0; i < count; i++) nc_answer_free(answers[i]);
    free(parts);
    free(answers);
    asked_free(callee);
    return rc;
}

static int32_t chain(nc_request *req) {
    char *route = metadata_text(req, "route");
    int32_t rc = NC_OK;
    if (route[0] == '\0') {
        rc = nc_reply(req, nc_request_body(req));
    } else {
        char *rest = strchr(route, ',');
        if (rest != NULL) *rest++ = '\0';
        char *to = metadata_text(req, "to");
        const bool is_last = rest == NULL && to[0] != '\0';
        const nc_pair pairs[] = {pair(NC_LITERAL("case"), is_last ? to : "chain"),
                                 pair(NC_LITERAL("route"), rest != NULL ? rest : ""),
                                 pair(NC_LITERAL("to"), to)};
        const nc_call_options options = options_of(pairs, 3);
        const nc_bytes parts[] = {nc_request_body(req), NC_LITERAL(">"), nc_request_function(req)};
        nc_answer *answer = NULL;
        rc = nc_call_with(req, route, parts, 3, &options, &answer, NULL);
        if (rc == NC_OK) rc = nc_reply(req, nc_answer_body(answer));
        nc_answer_free(answer);
        free(to);
    }
    free(route);
    return rc;
}

// Cases about metadata and status.

static bool is_own(nc_pair pair) {
    return pair.name.len >= 2 && memcmp(pair.name.data, "x-", 2) == 0;
}

// Returns `first` and the pairs of the request whose names begin with x-. Stores their number in
// `count`. The caller frees the array.
static nc_pair *own_pairs(const nc_request *req, nc_pair first, size_t *count) {
    nc_pair *pairs = calloc(nc_request_metadata_count(req) + 1, sizeof *pairs);
    if (pairs == NULL) abort();
    pairs[0] = first;
    *count = 1;
    nc_pair pair;
    for (size_t i = 0; nc_request_metadata_at(req, i, &pair) == NC_OK; i++)
        if (is_own(pair)) pairs[(*count)++] = pair;
    return pairs;
}

static int32_t metadata(nc_request *req) {
    enum { PARTS = 4 };
    size_t count = 0;
    nc_pair *pairs = own_pairs(req, pair(NC_LITERAL(":status"), "200"), &count);
    nc_bytes *lines = calloc(PARTS * count, sizeof *lines);
    if (lines == NULL) abort();
    size_t parts = 0;
    for (size_t i = 1; i < count; i++) {
        lines[parts++] = pairs[i].name;
        lines[parts++] = NC_LITERAL("=");
        lines[parts++] = pairs[i].value;
        lines[parts++] = NC_LITERAL("\n");
    }
    const int32_t rc = nc_reply_with(req, lines, parts, pairs + 1, count - 1);
    free(lines);
    free(pairs);
    return rc;
}

static int32_t relay_metadata(nc_request *req) {
    char *target = metadata_text(req, "target");
    size_t count = 0;
    nc_pair *pairs = own_pairs(req, pair(NC_LITERAL("case"), "metadata"), &count);
    const nc_call_options options = options_of(pairs, count);
    nc_answer *answer = NULL;
    int32_t rc = nc_call_with(req, target, NULL, 0, &options, &answer, NULL);
    if (rc == NC_OK) {
        nc_pair *back = calloc(nc_answer_metadata_count(answer) + 1, sizeof *back);
        if (back == NULL) abort();
        size_t kept = 0;
        nc_pair pair;
        for (size_t i = 0; nc_answer_metadata_at(answer, i, &pair) == NC_OK; i++)
            if (is_own(pair)) back[kept++] = pair;
        const nc_bytes body = nc_answer_body(answer);
        rc = nc_reply_with(req, &body, 1, back, kept);
        free(back);
    }
    nc_answer_free(answer);
    free(pairs);
    free(target);
    return rc;
}

static int32_t status(nc_request *req) {
    const nc_bytes body = nc_request_body(req);
    const nc_pair pair = {NC_LITERAL(":status"), body};
    return nc_reply_with(req, &body, 1, &pair, 1);
}

static int32_t http_error(nc_request *req) {
    char *number = text_of(nc_request_body(req));
    int32_t rc = nc_reply_http(req, (uint32_t)strtoul(number, NULL, 10),
                               "text/plain; charset=utf-8", NC_LITERAL("as told: größer"));
    free(number);
    return rc;
}

static int32_t check_status(nc_request *req) {
    char *target = metadata_text(req, "target");
    const nc_pair to = pair(NC_LITERAL("case"), "http_error");
    const nc_call_options options = options_of(&to, 1);
    const nc_bytes body = nc_request_body(req);
    nc_answer *answer = NULL;
    int32_t rc = nc_call_with(req, target, &body, 1, &options, &answer, NULL);
    if (rc == NC_OK) rc = nc_answer_check(req, target, answer, NULL);
    if (rc == NC_OK) rc = nc_reply(req, nc_answer_body(answer));
    nc_answer_free(answer);
    free(target);
    return rc;
}

static int32_t relay_status(nc_request *req) {
    char *target = metadata_text(req, "target");
    const nc_pair to = pair(NC_LITERAL("case"), "status");
    const nc_call_options options = options_of(&to, 1);
    const nc_bytes body = nc_request_body(req);
    nc_answer *answer = NULL;
    int32_t rc = nc_call_with(req, target, &body, 1, &options, &answer, NULL);
    if (rc == NC_OK) rc = reply_number(req, nc_answer_http_status(answer));
    nc_answer_free(answer);
    free(target);
    return rc;
}

// Cases about properties of a request.

static int32_t origin(nc_request *req) {
    if (!nc_request_is_internal(req)) return reply_text(req, "external");
    const nc_bytes parts[] = {NC_LITERAL("internal "), nc_request_caller(req)};
    return nc_reply_with(req, parts, 2, NULL, 0);
}

static int32_t function(nc_request *req) { return nc_reply(req, nc_request_function(req)); }

static int32_t id(nc_request *req) { return reply_text(req, nc_request_call_id(req)); }

static int32_t path(nc_request *req) {
    static const char *const names[] = {":method", ":path", ":query"};
    nc_bytes parts[6];
    for (size_t i = 0; i < 3; i++) {
        if (nc_request_metadata(req, names[i], &parts[2 * i]) != NC_OK)
            parts[2 * i] = (nc_bytes){NULL, 0};
        parts[2 * i + 1] = NC_LITERAL("\n");
    }
    return nc_reply_with(req, parts, 6, NULL, 0);
}

// The other cases.

// A call that is made outside of the request, and may outlive it.
typedef struct {
    char *target, *to, *body;
    uint64_t timeout_ns;
} later_call;

static void later_ended(void *user, int32_t status, nc_answer *answer, nc_error *error) {
    later_call *call = user;
    const nc_bytes body = nc_answer_body(answer);
    char *ended = status == NC_OK ? text_of(body) : strdup(nc_status_name(status));
    printf("later %s: %s\n", call->body, ended);
    fflush(stdout);
    free(ended);
    free(call->target);
    free(call->to);
    free(call->body);
    free(call);
    nc_answer_free(answer);
    nc_error_free(error);
}

static int32_t later(nc_request *req) {
    later_call *call = malloc(sizeof *call);
    if (call == NULL) abort();
    char *ms = metadata_text(req, "timeout-ms");
    *call = (later_call){
        .target = metadata_text(req, "target"),
        .to = metadata_text(req, "to"),
        .body = text_of(nc_request_body(req)),
        .timeout_ns = strtoull(ms, NULL, BASE) * NS_PER_MS,
    };
    free(ms);
    const nc_pair pair = {NC_LITERAL("case"), {(const uint8_t *)call->to, strlen(call->to)}};
    const nc_call_options options = {
        .struct_size = sizeof options,
        .timeout_ns = call->timeout_ns,
        .metadata = &pair,
        .metadata_count = 1,
    };
    const nc_bytes body = nc_request_body(req);
    const int32_t rc = nc_process_call_start(call->target, &body, 1, &options, later_ended, call,
                                             NULL, NULL);
    if (rc != NC_OK) later_ended(call, rc, NULL, NULL);
    return reply_text(req, "begun");
}

static int32_t print(nc_request *req) {
    print_line("", nc_request_body(req));
    return reply_text(req, "printed");
}

static int32_t log_body(nc_request *req) {
    const nc_bytes body = nc_request_body(req);
    char *text = calloc(body.len + 1, 1);
    if (text == NULL) abort();
    if (body.len > 0) memcpy(text, body.data, body.len);
    const int32_t rc = nc_log(req, text);
    free(text);
    return rc == NC_OK ? reply_text(req, "logged") : rc;
}

static int32_t twice(nc_request *req) {
    const int32_t rc = nc_reply(req, nc_request_body(req));
    printf("twice: %s\n", nc_status_name(reply_text(req, "once more")));
    fflush(stdout);
    return rc;
}

static const struct {
    const char *name;
    int32_t (*run)(nc_request *req);
} CASES[] = {
    {"echo", echo},
    {"upper", upper},
    {"binary", binary},
    {"big", big},
    {"count", count},
    {"fail", fail},
    {"error", error},
    {"throw", throw_defect},
    {"sleep", sleep_then_answer},
    {"call", call},
    {"catch", catch_error},
    {"mistake", mistake},
    {"fan_out", fan_out},
    {"chain", chain},
    {"metadata", metadata},
    {"relay_metadata", relay_metadata},
    {"status", status},
    {"http_error", http_error},
    {"check_status", check_status},
    {"relay_status", relay_status},
    {"origin", origin},
    {"function", function},
    {"id", id},
    {"deadline", deadline},
    {"path", path},
    {"crash", crash},
    {"wait_for_cancel", wait_for_cancel},
    {"later", later},
    {"print", print},
    {"log", log_body},
    {"twice", twice},
};

static int32_t handle(nc_request *req, void *user) {
    (void)user;
    char message[64];
    char *name = metadata_text(req, "case");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        if (strcmp(CASES[i].name, name) == 0) {
            free(name);
            return CASES[i].run(req);
        }
    }
    snprintf(message, sizeof message, "no case \"%s\"", name);
    free(name);
    return nc_fail(req, message);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s NAME\n", argv[0]);
        return 2;
    }
    if (nc_handle(argv[1], handle, NULL) != NC_OK) return 2;
    return nc_serve();
}
