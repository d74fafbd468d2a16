// Tests handlers without an engine, for tests/programs.rs. If a check fails, the program prints its
// line and exits with 1.

#include <nightcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds, int line) {
    if (holds) return;
    fprintf(stderr, "doubles.c:%d does not hold\n", line);
    exit(1);
}
#define CHECK(condition) check(condition, __LINE__)

static bool is(nc_bytes bytes, const char *text) {
    return bytes.len == strlen(text) &&
           (bytes.len == 0 || memcmp(bytes.data, text, bytes.len) == 0);
}

static nc_bytes bytes(const char *text) {
    return (nc_bytes){(const uint8_t *)text, strlen(text)};
}

static nc_test_request request_of(const char *body, nc_handler callee, void *user) {
    nc_test_request request = {0};
    request.struct_size = sizeof request;
    request.body = bytes(body);
    request.callee = callee;
    request.callee_user = user;
    return request;
}

// Calls Bar and replies with its answer.
static int32_t foo(nc_request *req, void *user) {
    (void)user;
    nc_bytes parts[] = {nc_request_body(req), NC_LITERAL(", World")};
    nc_pair kind = {NC_LITERAL("kind"), NC_LITERAL("test")};
    nc_call_options options = {0};
    options.struct_size = sizeof options;
    options.timeout_ns = 5;
    options.metadata = &kind;
    options.metadata_count = 1;
    nc_answer *bar = NULL;
    int32_t rc = nc_call_with(req, "Bar", parts, 2, &options, &bar, NULL);
    if (rc == NC_OK) rc = nc_answer_check(req, "Bar", bar, NULL);
    if (rc == NC_OK) rc = nc_reply_http(req, 201, "text/plain", nc_answer_body(bar));
    nc_answer_free(bar);
    return rc;
}

static int32_t bar(nc_request *call, void *user) {
    int *calls = user;
    (*calls)++;
    nc_bytes kind;
    CHECK(is(nc_request_function(call), "Bar") && is(nc_request_caller(call), "Foo"));
    CHECK(is(nc_request_body(call), "Hello, World") && nc_request_time_left_ns(call) == 5);
    CHECK(nc_request_metadata(call, "kind", &kind) == NC_OK && is(kind, "test"));
    return nc_reply(call, NC_LITERAL("From function Bar"));
}

static void a_call_is_answered_by_the_double(void) {
    int calls = 0;
    nc_test_request request = request_of("Hello", bar, &calls);
    request.function = "Foo";
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    CHECK(nc_test_run(&request, foo, NULL, &answer, &error) == NC_OK && error == NULL);
    CHECK(calls == 1 && is(nc_answer_body(answer), "From function Bar"));
    nc_pair pair;
    CHECK(nc_answer_http_status(answer) == 201 && nc_answer_metadata_count(answer) == 2);
    CHECK(nc_answer_metadata_at(answer, 1, &pair) == NC_OK && is(pair.value, "text/plain"));
    nc_answer_free(answer);
}

static int32_t not_found(nc_request *call, void *user) {
    (void)user;
    return nc_reply_http(call, 404, NULL, NC_LITERAL("no such user"));
}

static int32_t overloaded(nc_request *call, void *user) {
    (void)call;
    (void)user;
    return NC_OVERLOADED;
}

// Runs foo, which fails, and returns its error as text.
static char *failure_of(nc_handler double_of_bar, int32_t expected) {
    static char text[200];
    nc_test_request request = request_of("", double_of_bar, NULL);
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    CHECK(nc_test_run(&request, foo, NULL, &answer, &error) == expected && answer == NULL);
    const nc_error *cause = nc_error_cause_at(error, 0);
    snprintf(text, sizeof text, "%s <- %s: %s", nc_error_function(error), nc_error_function(cause),
             nc_error_message(cause));
    nc_error_free(error);
    return text;
}

static void an_error_of_a_call_is_passed_on(void) {
    CHECK(strcmp(failure_of(not_found, NC_FUNCTION_FAILED),
                 "Test <- Bar: answered with HTTP status 404: no such user") == 0);
    CHECK(strncmp(failure_of(overloaded, NC_FUNCTION_FAILED), "Test <- Bar: ", 13) == 0);
    CHECK(strcmp(failure_of(NULL, NC_FUNCTION_FAILED),
                 "Test <- Bar: there is no function \"Bar\"") == 0);
}

static int32_t echo(nc_request *call, void *user) {
    (void)user;
    return nc_reply(call, nc_request_body(call));
}

static void note(void *user) { *(bool *)user = true; }

// Calls the functions that a handler may call on its request.
static int32_t uses(nc_request *req, void *user) {
    nc_buffer *buffer = NULL;
    nc_answer *answer = NULL;
    nc_watch *watch = NULL;
    nc_bytes value;
    uint64_t tag = 0;
    bool noted = false;
    CHECK(strcmp(user, "user") == 0 && nc_request_number(req) == 0 && !nc_request_is_internal(req));
    CHECK(strcmp(nc_request_call_id(req), "0000000000000000") == 0);
    CHECK(nc_request_time_left_ns(req) == UINT64_MAX && !nc_request_cancelled(req));
    CHECK(nc_request_metadata(req, "missing", &value) == NC_NOT_FOUND);
    CHECK(nc_request_on_cancel(req, note, &noted, &watch) == NC_OK && !noted);
    nc_watch_free(watch);
    CHECK(nc_call(req, "a b", NULL, 0, &answer) == NC_NOT_FOUND && answer == NULL);
    CHECK(nc_process_call("Bar", NULL, 0, NULL, &answer, NULL) == NC_INVALID_STATE);
    CHECK(nc_next_answer(req, 0, &tag, &answer, NULL) == NC_INVALID_STATE);
    CHECK(nc_call_start(req, 1, "a b", NULL, 0, NULL, NULL) == NC_NOT_FOUND);
    CHECK(nc_next_answer(req, 0, &tag, &answer, NULL) == NC_INVALID_STATE);
    for (uint64_t i = 1; i < 3; i++) {
        nc_bytes body = bytes(i == 1 ? "one" : "two");
        CHECK(nc_call_start(req, i, "Bar", &body, 1, NULL, NULL) == NC_OK);
    }
    for (uint64_t i = 1; i < 3; i++) {
        CHECK(nc_next_answer(req, UINT64_MAX, &tag, &answer, NULL) == NC_OK && tag == i);
        CHECK(is(nc_answer_body(answer), i == 1 ? "one" : "two"));
        nc_answer_free(answer);
    }
    CHECK(nc_call_cancel(req, 1) == NC_INVALID_STATE);
    CHECK(nc_reply_http(req, 199, NULL, NC_LITERAL("")) == NC_INVALID_ARGUMENT);
    CHECK(nc_reply_http(req, 600, NULL, NC_LITERAL("")) == NC_INVALID_ARGUMENT);
    CHECK(nc_buffer_new(req, SIZE_MAX, &buffer) == NC_OVERLOADED && buffer == NULL);
    CHECK(nc_buffer_new(req, 10, &buffer) == NC_OK && nc_buffer_capacity(buffer) == 10);
    memcpy(nc_buffer_data(buffer), "0123456789", 10);
    CHECK(nc_reply_buffer(req, buffer, 4, NULL, 0) == NC_OK);
    CHECK(nc_reply(req, NC_LITERAL("again")) == NC_INVALID_STATE);
    CHECK(nc_call(req, "Bar", NULL, 0, &answer) == NC_INVALID_STATE);
    return nc_log(req, "uses has run");
}

static void a_handler_may_do_all_that_it_does_in_a_process(void) {
    nc_test_request request = request_of("", echo, NULL);
    nc_answer *answer = NULL;
    char user[] = "user";
    CHECK(nc_test_run(&request, uses, user, &answer, NULL) == NC_OK);
    CHECK(is(nc_answer_body(answer), "0123") && nc_answer_http_status(answer) == 200);
    nc_answer_free(answer);
}

static int32_t cancelled(nc_request *req, void *user) {
    int32_t *reason = user;
    nc_watch *watch = NULL;
    nc_answer *answer = NULL;
    bool noted = false;
    *reason = nc_request_cancel_reason(req);
    CHECK(nc_request_cancelled(req) && nc_request_on_cancel(req, note, &noted, &watch) == NC_OK);
    nc_watch_free(watch);
    CHECK(noted);
    return nc_call(req, "Bar", NULL, 0, &answer);
}

static void a_request_is_cancelled(void) {
    nc_test_request request = request_of("", echo, NULL);
    nc_answer *answer = NULL;
    int32_t reason = NC_OK;
    request.cancel_reason = NC_DEADLINE_EXCEEDED;
    CHECK(nc_test_run(&request, cancelled, &reason, &answer, NULL) == NC_DEADLINE_EXCEEDED);
    CHECK(reason == NC_DEADLINE_EXCEEDED);
}

static int32_t fails(nc_request *req, void *user) {
    CHECK(nc_fail_unexpectedly(req, user) == NC_OK);
    return NC_OVERLOADED;
}

static void a_failure_is_told_with_its_message(void) {
    nc_test_request request = request_of("", NULL, NULL);
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    char message[] = "no database";
    CHECK(nc_test_run(&request, fails, message, &answer, &error) == NC_FUNCTION_FAILED);
    CHECK(strcmp(nc_error_message(error), message) == 0);
    nc_error_free(error);
}

static void a_request_that_cannot_be_is_refused(void) {
    nc_test_request request = request_of("", NULL, NULL);
    nc_answer *answer = NULL;
    nc_pair bad = {NC_LITERAL("a b"), NC_LITERAL("x")};
    CHECK(nc_test_run(NULL, echo, NULL, &answer, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_test_run(&request, NULL, NULL, &answer, NULL) == NC_INVALID_ARGUMENT);
    CHECK(nc_test_run(&request, echo, NULL, NULL, NULL) == NC_INVALID_ARGUMENT);
    request.cancel_reason = NC_OVERLOADED;
    CHECK(nc_test_run(&request, echo, NULL, &answer, NULL) == NC_INVALID_ARGUMENT);
    request = request_of("", NULL, NULL);
    request.flags = 1;
    CHECK(nc_test_run(&request, echo, NULL, &answer, NULL) == NC_INVALID_ARGUMENT);
    request = request_of("", NULL, NULL);
    request.struct_size = NC_TEST_REQUEST_MIN_SIZE - 1;
    CHECK(nc_test_run(&request, echo, NULL, &answer, NULL) == NC_INVALID_ARGUMENT);
    request = request_of("", NULL, NULL);
    request.metadata = &bad;
    request.metadata_count = 1;
    CHECK(nc_test_run(&request, echo, NULL, &answer, NULL) == NC_INVALID_ARGUMENT);
}

int main(void) {
    a_call_is_answered_by_the_double();
    an_error_of_a_call_is_passed_on();
    a_handler_may_do_all_that_it_does_in_a_process();
    a_request_is_cancelled();
    a_failure_is_told_with_its_message();
    a_request_that_cannot_be_is_refused();
    return 0;
}
