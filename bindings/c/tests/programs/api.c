/*
 * Uses every public name of nightcore.h. tests/c/warnings.sh compiles it with all warnings of
 * clang.
 */
#include <nightcore.h>
#include <stdio.h>

static const char *text_of(int32_t status) {
    switch (status) {
    case NC_OK: return "fine";
    case NC_NOT_FOUND:
    case NC_PAYLOAD_TOO_LARGE:
    case NC_FUNCTION_FAILED:
    case NC_CONTAINER_DIED:
    case NC_OVERLOADED:
    case NC_UNAVAILABLE:
    case NC_DEADLINE_EXCEEDED:
    case NC_CANCELLED:
    case NC_DEPTH_EXCEEDED: return "the call failed";
    case NC_INVALID_ARGUMENT:
    case NC_WRONG_THREAD:
    case NC_FORKED:
    case NC_AGAIN:
    case NC_INVALID_STATE:
    case NC_NOT_STARTED:
    case NC_REFUSED:
    case NC_ENDED:
    case NC_INTERNAL: return "the library refused";
    default: return nc_status_name(status);
    }
}

static void tell(const nc_error *error) {
    const size_t count = nc_error_cause_count(error);
    printf("%s: %s: %s\n", nc_error_function(error), text_of(nc_error_status(error)),
           nc_error_message(error));
    for (size_t i = 0; i < count; i++) tell(nc_error_cause_at(error, i));
}

static void note(void *user) { *(bool *)user = true; }

static void ended(void *user, int32_t status, nc_answer *answer, nc_error *error) {
    (void)user;
    printf("%s\n", text_of(status));
    nc_answer_free(answer);
    nc_error_free(error);
}

static size_t describe(const nc_request *req) {
    nc_bytes value;
    nc_pair pair;
    size_t bytes = nc_request_body(req).len + nc_request_function(req).len;
    if (nc_request_is_internal(req)) bytes += nc_request_caller(req).len;
    if (nc_request_metadata(req, "a", &value) == NC_OK) bytes += value.len;
    for (size_t i = 0; i < nc_request_metadata_count(req); i++)
        if (nc_request_metadata_at(req, i, &pair) == NC_OK) bytes += pair.name.len + pair.value.len;
    printf("%s %u\n", nc_request_call_id(req), (unsigned)nc_request_number(req));
    if (nc_request_cancelled(req)) printf("%s\n", text_of(nc_request_cancel_reason(req)));
    return nc_request_time_left_ns(req) == UINT64_MAX ? bytes : 0;
}

static size_t read_answer(const nc_answer *answer) {
    nc_bytes value;
    nc_pair pair;
    size_t bytes = nc_answer_body(answer).len;
    if (nc_answer_metadata(answer, "a", &value) == NC_OK) bytes += value.len;
    for (size_t i = 0; i < nc_answer_metadata_count(answer); i++)
        if (nc_answer_metadata_at(answer, i, &pair) == NC_OK)
            bytes += pair.name.len + pair.value.len;
    return nc_answer_http_status(answer) == 200 ? bytes : 0;
}

static int32_t calls(nc_request *req, void *user) {
    const nc_pair pair = {NC_LITERAL("kind"), NC_LITERAL("test")};
    const nc_bytes body = nc_request_body(req);
    nc_call_options options = {.struct_size = sizeof options,
                               .timeout_ns = 1000000,
                               .metadata = &pair,
                               .metadata_count = 1,
                               .flags = 0};
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    nc_watch *watch = NULL;
    uint64_t tag = 0;
    uint64_t call = 0;
    bool cancelled = false;
    (void)user;
    int32_t rc = nc_request_on_cancel(req, note, &cancelled, &watch);
    if (rc == NC_OK) rc = nc_call(req, "Bar", &body, 1, &answer);
    if (rc == NC_OK) rc = nc_answer_check(req, "Bar", answer, &error);
    nc_answer_free(answer);
    if (rc == NC_OK) rc = nc_call_with(req, "Bar", &body, 1, &options, &answer, &error);
    if (rc == NC_OK) printf("%u\n", (unsigned)read_answer(answer));
    if (rc == NC_OK) rc = nc_call_start(req, 1, "Bar", &body, 1, &options, &error);
    if (rc == NC_OK) rc = nc_next_answer(req, 1000, &tag, &answer, &error);
    if (rc == NC_AGAIN) rc = nc_call_cancel(req, tag);
    if (rc == NC_OK) rc = nc_process_call("Bar", &body, 1, NULL, &answer, &error);
    if (rc == NC_OK) rc = nc_process_call_start("Bar", &body, 1, NULL, ended, NULL, &call, &error);
    if (rc == NC_OK) rc = nc_process_call_cancel(call);
    nc_watch_free(watch);
    nc_answer_free(answer);
    if (error == NULL) return rc;
    tell(error);
    rc = nc_pass_on(req, error);
    nc_error_free(error);
    return rc;
}

static int32_t replies(nc_request *req, void *user) {
    const nc_pair pair = {NC_LITERAL("kind"), NC_LITERAL("test")};
    const nc_bytes body = nc_request_body(req);
    nc_buffer *buffer = NULL;
    nc_error *error = NULL;
    (void)user;
    switch (describe(req)) {
    case 0: return nc_reply(req, NC_LITERAL("text"));
    case 1: return nc_reply_with(req, &body, 1, &pair, 1);
    case 2: return nc_reply_http(req, 404, "text/plain", NC_LITERAL("no such user"));
    case 3: return nc_fail(req, "no such user");
    case 4: return nc_fail_unexpectedly(req, "no database");
    case 5: return nc_log(req, "nothing to do");
    case 6:
        if (nc_error_new(NC_NOT_FOUND, "Bar", "no Bar", &error) != NC_OK) return NC_INTERNAL;
        nc_error_add_cause(error, NC_OVERLOADED, "Baz", "full");
        nc_pass_on(req, error);
        nc_error_free(error);
        return NC_OK;
    default: break;
    }
    int32_t rc = nc_buffer_new(req, 100, &buffer);
    if (rc != NC_OK) return rc;
    if (nc_buffer_capacity(buffer) == 0) {
        nc_buffer_free(buffer);
        return NC_OK;
    }
    *nc_buffer_data(buffer) = 'x';
    return nc_reply_buffer(req, buffer, 1, NULL, 0);
}

static int take(const nc_event *event) {
    switch (event->kind) {
    case NC_EVENT_REQUEST: nc_request_free(event->request); return 0;
    case NC_EVENT_ANSWER:
        ended(NULL, event->status, event->answer, event->error);
        return event->tag == 1;
    case NC_EVENT_CANCELLED: return event->request_number == 1;
    case NC_EVENT_ENDED: return 1;
    default: return 0;
    }
}

static int event_loop(void) {
    const char *const names[] = {"Foo"};
    nc_worker *worker = NULL;
    nc_error *error = NULL;
    nc_event event = {.struct_size = sizeof event};
    size_t count = 0;
    if (nc_worker_open(names, 1, &worker, &error) != NC_OK) {
        tell(error);
        nc_error_free(error);
        return 2;
    }
    printf("%d %d %u\n", nc_worker_fd(worker), nc_worker_message_fd(worker),
           (unsigned)nc_worker_function(worker).len);
    while (nc_worker_next_many(worker, &event, 1, &count) == NC_OK ||
           nc_worker_next(worker, nc_worker_spins(worker) ? 0 : UINT64_MAX, &event) == NC_OK)
        if (take(&event) != 0) break;
    nc_worker_free(worker);
    return 0;
}

static int test(nc_handler handler, nc_on_cancel unused, nc_on_answer unused_too) {
    nc_test_request request = {.struct_size = sizeof request,
                               .function = "Foo",
                               .caller = "Above",
                               .body = NC_LITERAL("x"),
                               .metadata = NULL,
                               .metadata_count = 0,
                               .time_left_ns = 1,
                               .cancel_reason = NC_OK,
                               .flags = 0,
                               .callee = replies,
                               .callee_user = NULL};
    nc_answer *answer = NULL;
    const nc_status rc = nc_test_run(&request, handler, NULL, &answer, NULL);
    nc_answer_free(answer);
    return rc == NC_OK && unused != NULL && unused_too != NULL;
}

int main(int count, char **arguments) {
    (void)arguments;
    printf("%s %d %d %d\n", nc_version(), NC_CALL_OPTIONS_MIN_SIZE, NC_EVENT_MIN_SIZE,
           NC_TEST_REQUEST_MIN_SIZE);
    printf("%d %d %d\n", NC_MAX_NAME_BYTES, NC_MAX_METADATA_BYTES, NC_MAX_OPEN_CALLS);
    if (nc_abi_version() < NC_ABI_VERSION) return 2;
    if (count > 2) return event_loop();
    if (count > 1) return test(calls, note, ended);
    nc_handle("Foo", calls, NULL);
    nc_handle("Bar", replies, NULL);
    return nc_serve();
}
