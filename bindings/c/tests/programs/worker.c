// Handlers that use the whole C interface, for tests/programs.rs.

#include <nightcore.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// Fails the call with the line and the text of the condition if it does not hold.
#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            char text[256];                                                   \
            snprintf(text, sizeof text, "line %d: %s", __LINE__, #condition); \
            return nc_fail(req, text);                                        \
        }                                                                     \
    } while (0)

static int is(nc_bytes bytes, const char *text) {
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static int32_t echo(nc_request *req, void *user) {
    (void)user;
    return nc_reply(req, nc_request_body(req));
}

// Replies with a buffer of the arena and with metadata.
static int32_t large(nc_request *req, void *user) {
    (void)user;
    nc_buffer *buffer = NULL;
    const size_t size = 100000;
    CHECK(nc_buffer_new(req, size + 5, &buffer) == NC_OK);
    CHECK(nc_buffer_capacity(buffer) == size + 5);
    memset(nc_buffer_data(buffer), 'x', size);
    nc_pair pairs[] = {{NC_LITERAL(":status"), NC_LITERAL("201")},
                       {NC_LITERAL("kind"), NC_LITERAL("large")}};
    return nc_reply_buffer(req, buffer, size, pairs, 2);
}

// Returns the status that the body says.
static int32_t status(nc_request *req, void *user) {
    (void)user;
    char text[16] = {0};
    nc_bytes body = nc_request_body(req);
    memcpy(text, body.data, body.len < sizeof text ? body.len : sizeof text - 1);
    return atoi(text);
}

static int32_t fail(nc_request *req, void *user) {
    return nc_fail(req, (const char *)user);
}

// Calls Bar and returns its status.
static int32_t pass_on(nc_request *req, void *user) {
    (void)user;
    nc_answer *answer = NULL;
    int32_t rc = nc_call(req, "Bar", NULL, 0, &answer);
    nc_answer_free(answer);
    return rc;
}

// Replies with the HTTP status that its body names.
static int32_t http(nc_request *req, void *user) {
    (void)user;
    char digits[4] = "";
    memcpy(digits, nc_request_body(req).data, 3);
    return nc_reply_http(req, (uint32_t)atoi(digits), "text/plain; charset=utf-8",
                         NC_LITERAL("no such user"));
}

// Calls Bar and treats an answer with an HTTP status of 400 or more as an error.
static int32_t demanding(nc_request *req, void *user) {
    (void)user;
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    int32_t rc = nc_call(req, "Bar", NULL, 0, &answer);
    if (rc == NC_OK) {
        rc = nc_answer_check(NULL, "Bar", answer, &error);
        CHECK(nc_error_status(error) == rc && nc_answer_check(req, "Bar", answer, NULL) == rc);
        CHECK(nc_answer_check(req, NULL, answer, NULL) == NC_INVALID_ARGUMENT);
        CHECK(nc_answer_check(req, "Bar", NULL, NULL) == NC_INVALID_ARGUMENT);
        CHECK(nc_answer_check(req, "Bar", answer, NULL) == rc);
    }
    nc_answer_free(answer);
    nc_error_free(error);
    return rc == NC_OK ? nc_reply(req, NC_LITERAL("fine")) : rc;
}

// Calls Bar with all options, checks its error or its answer, and replies with a description of it.
static int32_t with(nc_request *req, void *user) {
    (void)user;
    nc_pair pair = {NC_LITERAL("x-kind"), NC_LITERAL("test")};
    nc_call_options options = {0};
    options.struct_size = sizeof options;
    options.timeout_ns = 5000000000u;
    options.metadata = &pair;
    options.metadata_count = 1;
    nc_bytes part = nc_request_body(req);
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    char text[512];
    int32_t rc = nc_call_with(req, "Bar", &part, 1, &options, &answer, &error);
    if (rc == NC_OK) {
        CHECK(error == NULL && answer != NULL);
        nc_bytes value;
        nc_pair first;
        CHECK(nc_answer_metadata(answer, "missing", &value) == NC_NOT_FOUND && value.len == 0);
        CHECK(nc_answer_metadata_at(answer, 99, &first) == NC_NOT_FOUND);
        CHECK(nc_answer_metadata(answer, "a", &value) == NC_OK && is(value, "1"));
        CHECK(nc_answer_metadata_count(answer) == 2);
        CHECK(nc_answer_metadata_at(answer, 0, &first) == NC_OK && is(first.name, ":status"));
        snprintf(text, sizeof text, "%u %.*s", nc_answer_http_status(answer),
                 (int)nc_answer_body(answer).len, (const char *)nc_answer_body(answer).data);
    } else {
        CHECK(answer == NULL && nc_error_status(error) == rc && nc_error_cause_count(error) == 1);
        const nc_error *cause = nc_error_cause_at(error, 0);
        CHECK(nc_error_cause_at(error, 1) == NULL && nc_error_cause_count(cause) == 0);
        snprintf(text, sizeof text, "%s %s: %s <- %s %s: %s", nc_error_function(error),
                 nc_status_name(rc), nc_error_message(error), nc_error_function(cause),
                 nc_status_name(nc_error_status(cause)), nc_error_message(cause));
    }
    nc_answer_free(answer);
    nc_error_free(error);
    nc_bytes told = {(const uint8_t *)text, strlen(text)};
    return nc_reply(req, told);
}

// Starts three calls and joins their answers.
static int32_t many(nc_request *req, void *user) {
    (void)user;
    char text[512] = "";
    uint64_t tag = 77;
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    CHECK(nc_next_answer(req, 0, &tag, &answer, NULL) == NC_INVALID_STATE);
    for (uint64_t i = 0; i < 3; i++)
        CHECK(nc_call_start(req, i, "Bar", NULL, 0, NULL, NULL) == NC_OK);
    CHECK(nc_next_answer(req, 1000000, &tag, &answer, &error) == NC_AGAIN);
    CHECK(tag == 77 && error == NULL);
    CHECK(nc_call(req, "Go", NULL, 0, &answer) == NC_OK);
    nc_answer_free(answer);
    for (int i = 0; i < 3; i++) {
        int32_t rc = nc_next_answer(req, UINT64_MAX, &tag, &answer, &error);
        CHECK((rc == NC_OK) == (answer != NULL) && (rc == NC_OK) == (error == NULL));
        nc_bytes body = nc_answer_body(answer);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%u=%s%.*s ", (unsigned)tag,
                 rc == NC_OK ? "" : nc_status_name(rc), (int)body.len,
                 body.data == NULL ? "" : (const char *)body.data);
        nc_answer_free(answer);
        nc_error_free(error);
    }
    nc_bytes told = {(const uint8_t *)text, strlen(text)};
    return nc_reply(req, told);
}

static int32_t describe(nc_request *req, void *user) {
    (void)user;
    char text[512];
    nc_bytes value;
    nc_pair pair;
    CHECK(nc_request_metadata(req, "missing", &value) == NC_NOT_FOUND);
    CHECK(nc_request_metadata_at(req, 2, &pair) == NC_NOT_FOUND);
    if (nc_request_metadata_count(req) == 2) {
        CHECK(nc_request_metadata(req, "a", &value) == NC_OK && is(value, "1"));
        CHECK(nc_request_metadata_at(req, 1, &pair) == NC_OK);
        CHECK(is(pair.name, "b") && is(pair.value, "2"));
    }
    CHECK(nc_request_number(req) == 0);
    const char *id = nc_request_call_id(req);
    CHECK(strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16);
    CHECK(id == nc_request_call_id(req));
    nc_request_free(req); // this has no effect on a handler's request
    nc_bytes function = nc_request_function(req), caller = nc_request_caller(req);
    uint64_t left = nc_request_time_left_ns(req);
    const char *deadline = "?";
    if (left == UINT64_MAX)
        deadline = "none";
    else if (left > 0 && left < 60000000000u)
        deadline = "some";
    snprintf(text, sizeof text, "%.*s %d '%.*s' %s %d", (int)function.len,
             (const char *)function.data, nc_request_is_internal(req), (int)caller.len,
             caller.len > 0 ? (const char *)caller.data : "", deadline,
             nc_request_cancelled(req));
    nc_bytes told = {(const uint8_t *)text, strlen(text)};
    return nc_reply(req, told);
}

struct other {
    nc_request *req;
    int32_t reply, call, start, next, buffer, failed, watched;
    bool internal;
};

// A callback for a request that is not cancelled.
static void never(void *user) {
    (void)user;
    abort();
}

static void *other_thread(void *argument) {
    struct other *other = argument;
    nc_answer *answer = NULL;
    nc_buffer *buffer = NULL;
    nc_watch *watch = NULL;
    uint64_t tag;
    other->watched = nc_request_on_cancel(other->req, never, NULL, &watch);
    other->reply = nc_reply(other->req, NC_LITERAL("x"));
    other->call = nc_call(other->req, "Bar", NULL, 0, &answer);
    other->start = nc_call_start(other->req, 1, "Bar", NULL, 0, NULL, NULL);
    other->next = nc_next_answer(other->req, 0, &tag, &answer, NULL);
    other->buffer = nc_buffer_new(other->req, 10, &buffer);
    other->failed = nc_fail(other->req, "x");
    other->internal = nc_request_is_internal(other->req);
    return NULL;
}

// Makes every mistake that the library must refuse.
static int32_t misuse(nc_request *req, void *user) {
    (void)user;
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    nc_bytes value, bad = {NULL, 3};
    nc_pair pair, bad_pair = {NC_LITERAL("two words"), NC_LITERAL("")};
    nc_buffer *buffer = NULL;
    nc_watch *watch = NULL;
    uint64_t tag;

    // Arguments that are NULL or malformed.
    CHECK(nc_request_body(NULL).len == 0 && nc_request_caller(NULL).len == 0);
    CHECK(nc_request_cancelled(NULL));
    CHECK(nc_reply(NULL, NC_LITERAL("x")) == NC_INVALID_ARGUMENT);
    CHECK(nc_request_on_cancel(NULL, never, NULL, &watch) == NC_INVALID_ARGUMENT && watch == NULL);
    CHECK(nc_request_on_cancel(req, NULL, NULL, &watch) == NC_INVALID_ARGUMENT && watch == NULL);
    CHECK(nc_request_on_cancel(req, never, NULL, NULL) == NC_INVALID_ARGUMENT);
    nc_watch_free(NULL);
    for (int i = 0; i < 2; i++) {
        CHECK(nc_request_on_cancel(req, never, NULL, &watch) == NC_OK && watch != NULL);
        nc_watch_free(watch);
    }
    CHECK(nc_call(req, NULL, NULL, 0, &answer) == NC_INVALID_ARGUMENT);
    CHECK(nc_call(req, "Bar", NULL, 0, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_call(req, "Bar", NULL, 1, &answer) == NC_INVALID_ARGUMENT);
    CHECK(nc_call(req, "Bar", &bad, 1, &answer) == NC_INVALID_ARGUMENT);
    CHECK(nc_call(req, "B\xff", NULL, 0, &answer) == NC_NOT_FOUND);
    CHECK(nc_process_call("B\xff", NULL, 0, NULL, &answer, NULL) == NC_NOT_FOUND);
    CHECK(nc_call(req, "no name", NULL, 0, &answer) == NC_NOT_FOUND);
    CHECK(nc_call_with(NULL, "Bar", NULL, 0, NULL, &answer, &error) == NC_INVALID_ARGUMENT);
    CHECK(error != NULL);
    nc_error_free(error);
    CHECK(nc_next_answer(req, 0, NULL, &answer, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_next_answer(req, 0, &tag, NULL, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_request_metadata(req, NULL, &value) == NC_INVALID_ARGUMENT);
    CHECK(nc_request_metadata(req, "a", NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_request_metadata_at(req, 0, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_answer_metadata(NULL, "a", &value) == NC_INVALID_ARGUMENT);
    CHECK(nc_answer_http_status(NULL) == 0);
    CHECK(nc_answer_metadata_at(NULL, 0, &pair) == NC_INVALID_ARGUMENT);
    CHECK(nc_answer_body(NULL).len == 0);
    CHECK(nc_buffer_new(req, 1, NULL) == NC_INVALID_ARGUMENT && nc_buffer_data(NULL) == NULL);
    CHECK(nc_reply_buffer(req, NULL, 0, NULL, 0) == NC_INVALID_ARGUMENT);
    CHECK(nc_reply_with(req, NULL, 0, &bad_pair, 1) == NC_INVALID_ARGUMENT);
    CHECK(nc_fail(req, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_pass_on(req, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_error_status(NULL) == NC_OK && nc_error_message(NULL)[0] == '\0');
    CHECK(nc_error_cause_at(NULL, 0) == NULL);
    CHECK(nc_worker_next(NULL, 0, NULL) == NC_INVALID_ARGUMENT && nc_worker_fd(NULL) == -1);
    CHECK(nc_worker_next_many(NULL, NULL, 0, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_worker_message_fd(NULL) == -1);
    CHECK(!nc_worker_spins(NULL));
    nc_answer_free(NULL);
    nc_error_free(NULL);
    nc_buffer_free(NULL);
    nc_request_free(NULL);
    nc_worker_free(NULL);
    CHECK(nc_handle("Echo", echo, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_handle("Null", NULL, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_handle(NULL, echo, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_handle("a b", echo, NULL) == NC_INVALID_ARGUMENT);

    // Structs with the size of no version, an unknown field or unknown flags.
    struct {
        nc_call_options options;
        uint64_t newer;
    } newer = {0};
    newer.options.struct_size = NC_CALL_OPTIONS_MIN_SIZE - 1;
    CHECK(nc_call_with(req, "Bar", NULL, 0, &newer.options, &answer, NULL) == NC_INVALID_ARGUMENT);
    newer.options.struct_size = sizeof newer;
    newer.newer = 1;
    CHECK(nc_call_with(req, "Bar", NULL, 0, &newer.options, &answer, NULL) == NC_INVALID_ARGUMENT);
    newer.newer = 0;
    newer.options.flags = 1;
    CHECK(nc_call_with(req, "Bar", NULL, 0, &newer.options, &answer, NULL) == NC_INVALID_ARGUMENT);

    // Buffers and replies that are too large.
    CHECK(nc_buffer_new(req, (size_t)1 << 40, &buffer) == NC_PAYLOAD_TOO_LARGE && buffer == NULL);
    CHECK(nc_buffer_new(req, 10, &buffer) == NC_OK);
    CHECK(nc_reply_buffer(req, buffer, 11, NULL, 0) == NC_INVALID_ARGUMENT);
    CHECK(nc_buffer_new(req, 10, &buffer) == NC_OK);
    nc_buffer_free(buffer);

    // Use on another thread.
    struct other other = {.req = req};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, other_thread, &other) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(other.reply == NC_WRONG_THREAD && other.call == NC_WRONG_THREAD);
    CHECK(other.start == NC_WRONG_THREAD);
    CHECK(other.next == NC_WRONG_THREAD && other.buffer == NC_WRONG_THREAD);
    CHECK(other.failed == NC_WRONG_THREAD && other.watched == NC_WRONG_THREAD && !other.internal);

    // Use in the child of a fork.
    pid_t child = fork();
    if (child == 0) {
        int ok = nc_reply(req, NC_LITERAL("x")) == NC_FORKED;
        ok = ok && nc_call(req, "Bar", NULL, 0, &answer) == NC_FORKED;
        ok = ok && nc_call_start(req, 1, "Bar", NULL, 0, NULL, NULL) == NC_FORKED;
        _exit(ok ? 0 : 1);
    }
    int child_status = -1;
    CHECK(waitpid(child, &child_status, 0) == child && child_status == 0);

    // A second reply, and a call after the reply.
    CHECK(nc_reply(req, NC_LITERAL("fine")) == NC_OK);
    CHECK(nc_reply(req, NC_LITERAL("again")) == NC_INVALID_STATE);
    CHECK(nc_call(req, "Bar", NULL, 0, &answer) == NC_INVALID_STATE);
    return NC_OK;
}

// Gives its request to a thread, which uses it after the handler has returned. The next call
// replies with the status that the thread got.
static int told[2], returned[2];

static void *use_late(void *argument) {
    char byte;
    if (read(returned[0], &byte, 1) != 1) return NULL;
    int32_t rc = nc_reply(argument, NC_LITERAL("late"));
    return write(told[1], &rc, sizeof rc) < 0 ? argument : NULL;
}

static int32_t late(nc_request *req, void *user) {
    (void)user;
    if (nc_request_body(req).len == 0) {
        pthread_t thread;
        CHECK(pipe(told) == 0 && pipe(returned) == 0);
        CHECK(pthread_create(&thread, NULL, use_late, req) == 0 && pthread_detach(thread) == 0);
        return NC_OK;
    }
    int32_t rc = 0;
    CHECK(write(returned[1], "x", 1) == 1 && read(told[0], &rc, sizeof rc) == sizeof rc);
    const char *name = nc_status_name(rc);
    nc_bytes body = {(const uint8_t *)name, strlen(name)};
    return nc_reply(req, body);
}

// Creates an error and passes it on.
static int pass_on_made(nc_request *req) {
    nc_error *error = NULL;
    if (nc_error_new(NC_OK, "Far", "well", &error) != NC_INVALID_ARGUMENT) return 0;
    if (nc_error_new(NC_FORKED, NULL, NULL, &error) != NC_INVALID_ARGUMENT) return 0;
    if (error != NULL) return 0;
    if (nc_error_new(NC_OVERLOADED, "Far", "too much", &error) != NC_OK) return 0;
    if (nc_error_add_cause(error, NC_INVALID_STATE, "Farther", "") != NC_INVALID_ARGUMENT) return 0;
    if (nc_error_add_cause(error, NC_NOT_FOUND, "Farther", NULL) != NC_OK) return 0;
    if (nc_error_cause_count(error) != 1) return 0;
    if (nc_error_status(nc_error_cause_at(error, 0)) != NC_NOT_FOUND) return 0;
    int ok = strcmp(nc_error_function(error), "Far") == 0 && nc_pass_on(req, error) == NC_OK;
    nc_error_free(error);
    return ok;
}

// Runs an event loop that echoes bodies; a body that begins with "bar" goes to Bar first.
static int event_loop(void) {
    const char *names[] = {"Echo"};
    nc_worker *worker = NULL;
    nc_error *error = NULL;
    int32_t rc = nc_worker_open(names, 1, &worker, &error);
    if (rc != NC_OK) {
        fprintf(stderr, "%s\n", nc_error_message(error));
        nc_error_free(error);
        return rc == NC_UNAVAILABLE || rc == NC_ENDED ? 1 : 2;
    }
    if (!is(nc_worker_function(worker), "Echo") || nc_worker_fd(worker) < 0) return 3;
    nc_request *open = NULL;
    struct {
        nc_event event;
        uint64_t newer;
    } room = {0};
    nc_event *event = &room.event;
    event->struct_size = NC_EVENT_MIN_SIZE - 1;
    if (nc_worker_next(worker, 0, event) != NC_INVALID_ARGUMENT) return 3;
    event->struct_size = sizeof room;
    for (;;) {
        rc = nc_worker_next(worker, UINT64_MAX, event);
        if (rc == NC_AGAIN) continue;
        if (rc != NC_OK) return 4;
        if (event->kind == NC_EVENT_ENDED) break;
        if (event->kind == NC_EVENT_CANCELLED) {
            if (open == NULL || nc_request_number(open) != event->request_number) return 5;
            if (!nc_request_cancelled(open)) return 5;
            nc_request_free(open); // it has no reply
            open = NULL;
        } else if (event->kind == NC_EVENT_ANSWER) {
            if (event->tag != 5 || open == NULL) return 6;
            if (event->request_number != nc_request_number(open)) return 6;
            if (event->status == NC_OK)
                rc = nc_reply(open, nc_answer_body(event->answer));
            else
                rc = nc_pass_on(open, event->error);
            if (rc != NC_OK || nc_reply(open, NC_LITERAL("x")) != NC_INVALID_STATE) return 7;
            nc_answer_free(event->answer);
            nc_error_free(event->error);
            nc_request_free(open);
            if (nc_reply(open, NC_LITERAL("late")) != NC_INVALID_STATE) return 8;
            if (nc_request_body(open).len != 0) return 8;
            open = NULL;
        } else if (event->kind == NC_EVENT_REQUEST) {
            nc_bytes body = nc_request_body(event->request);
            nc_answer *answer = NULL;
            uint64_t tag;
            // A host with a garbage collector must not get a dangling pointer.
            if ((body.len == 0) != (body.data == NULL)) return 15;
            if (nc_call(event->request, "Bar", NULL, 0, &answer) != NC_INVALID_STATE) return 9;
            if (nc_next_answer(event->request, 0, &tag, &answer, NULL) != NC_INVALID_STATE)
                return 9;
            if (event->request_number != nc_request_number(event->request)) return 10;
            nc_watch *watch = NULL;
            if (nc_request_on_cancel(event->request, never, NULL, &watch) != NC_INVALID_STATE)
                return 16;
            if (body.len >= 3 && memcmp(body.data, "bar", 3) == 0) {
                open = event->request;
                if (nc_call_start(open, 5, "Bar", &body, 1, NULL, NULL) != NC_OK) return 11;
                if (nc_call_cancel(open, 6) != NC_OK) return 11;
                if (is(body, "bar, back") && nc_call_cancel(open, 5) != NC_OK) return 11;
            } else if (is(body, "made")) {
                if (!pass_on_made(event->request)) return 13;
                nc_request_free(event->request);
            } else if (is(body, "refused")) {
                nc_pair pair = {NC_LITERAL("two words"), NC_LITERAL("x")};
                if (nc_reply_with(event->request, NULL, 0, &pair, 1) != NC_INVALID_ARGUMENT)
                    return 14;
                nc_request_free(event->request);
            } else {
                if (nc_reply(event->request, body) != NC_OK) return 12;
                nc_request_free(event->request);
            }
        }
    }
    nc_worker_free(worker);
    return 0;
}

int main(int count, char **arguments) {
    if (nc_abi_version() < NC_ABI_VERSION) return 9;
    if (strcmp(nc_status_name(NC_FORKED), "FORKED") != 0) return 9;
    if (count > 1 && strcmp(arguments[1], "loop") == 0) return event_loop();
    nc_handle("Echo", echo, NULL);
    nc_handle("Large", large, NULL);
    nc_handle("Status", status, NULL);
    nc_handle("Fail", fail, (void *)(uintptr_t) "no such user");
    nc_handle("PassOn", pass_on, NULL);
    nc_handle("Http", http, NULL);
    nc_handle("Demanding", demanding, NULL);
    nc_handle("With", with, NULL);
    nc_handle("Many", many, NULL);
    nc_handle("Describe", describe, NULL);
    nc_handle("Misuse", misuse, NULL);
    nc_handle("Late", late, NULL);
    return nc_serve();
}
