#include "worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t call(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    char *name = first_line(text, &rest);
    /* The body is not handled as text, because it may contain zeros. */
    nc_bytes all = nc_request_body(req);
    size_t before = (size_t)(rest - text);
    nc_bytes body = {all.data + before, all.len - before};
    nc_answer *answer = NULL;
    int32_t rc = nc_call(req, name, &body, 1, &answer);
    if (rc == NC_OK) rc = nc_reply(req, nc_answer_body(answer));
    nc_answer_free(answer);
    free(text);
    return rc;
}

static int32_t reply_error(nc_request *req, int32_t status, const nc_error *error) {
    char causes[4096] = "";
    size_t length = 0;
    for (size_t i = 0; i < nc_error_cause_count(error) && length < sizeof causes; i++) {
        const nc_error *cause = nc_error_cause_at(error, i);
        length += (size_t)snprintf(causes + length, sizeof causes - length, "\n%s %s %s",
                                   nc_error_function(cause), nc_status_name(nc_error_status(cause)),
                                   nc_error_message(cause));
    }
    return reply_text(req, "%s\n%s%s", nc_status_name(status), nc_error_message(error), causes);
}

static int32_t call_and_tell(nc_request *req, char *text, uint64_t timeout_ns) {
    char *rest;
    char *name = first_line(text, &rest);
    nc_bytes body = bytes_of(rest);
    nc_call_options options = {.struct_size = sizeof options, .timeout_ns = timeout_ns};
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    int32_t rc = nc_call_with(req, name, &body, 1, &options, &answer, &error);
    rc = rc == NC_OK ? nc_reply(req, nc_answer_body(answer)) : reply_error(req, rc, error);
    nc_answer_free(answer);
    nc_error_free(error);
    return rc;
}

int32_t try_call(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    int32_t rc = call_and_tell(req, text, 0);
    free(text);
    return rc;
}

int32_t call_within(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    uint64_t ms = strtoull(first_line(text, &rest), NULL, 10);
    int32_t rc = call_and_tell(req, rest, ms * 1000000);
    free(text);
    return rc;
}

int32_t call_big(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    char *name = first_line(text, &rest);
    size_t len = strtoull(rest, NULL, 10);
    uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) abort();
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    nc_bytes body = {bytes, len};
    nc_answer *answer = NULL;
    nc_error *error = NULL;
    int32_t rc = nc_call_with(req, name, &body, 1, NULL, &answer, &error);
    if (rc == NC_OK) {
        nc_bytes got = nc_answer_body(answer);
        int same = got.len == len && (len == 0 || memcmp(got.data, bytes, len) == 0);
        rc = reply_text(req, same ? "same" : "other");
    } else {
        rc = reply_error(req, rc, error);
    }
    nc_answer_free(answer);
    nc_error_free(error);
    free(bytes);
    free(text);
    return rc;
}

/* Calls a function with a number, and parses the answer as a number. */
static int32_t call_number(nc_request *req, const char *name, unsigned long number,
                           unsigned long *result) {
    char text[32];
    snprintf(text, sizeof text, "%lu", number);
    nc_bytes body = bytes_of(text);
    nc_answer *answer = NULL;
    int32_t rc = nc_call(req, name, &body, 1, &answer);
    if (rc == NC_OK) {
        nc_bytes got = nc_answer_body(answer);
        snprintf(text, sizeof text, "%.*s", (int)got.len, got.data);
        *result = strtoul(text, NULL, 10);
    }
    nc_answer_free(answer);
    return rc;
}

static unsigned long body_number(const nc_request *req) {
    char *text = body_text(req);
    unsigned long number = strtoul(text, NULL, 10);
    free(text);
    return number;
}

int32_t chain(nc_request *req, void *user) {
    unsigned long left = body_number(req), called = 0;
    if (left == 0) return reply_text(req, "0");
    int32_t rc = call_number(req, user, left - 1, &called);
    return rc == NC_OK ? reply_text(req, "%lu", called + 1) : rc;
}

int32_t fib(nc_request *req, void *user) {
    (void)user;
    unsigned long n = body_number(req), one = 0, two = 0;
    if (n < 2) return reply_text(req, "%lu", n);
    int32_t rc = call_number(req, "Fib", n - 1, &one);
    if (rc == NC_OK) rc = call_number(req, "Fib", n - 2, &two);
    return rc == NC_OK ? reply_text(req, "%lu", one + two) : rc;
}

int32_t fan_out(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    char *line = first_line(text, &rest);
    char name[64];
    size_t count = 0, came = 0;
    if (sscanf(line, "%63s %zu", name, &count) != 2) {
        free(text);
        return nc_fail(req, "the body must be NAME COUNT and a body");
    }
    nc_bytes body = bytes_of(rest);
    uint8_t *seen = calloc(count + 1, 1);
    int32_t rc = NC_OK;
    for (size_t i = 0; rc == NC_OK && i < count; i++)
        rc = nc_call_start(req, i, name, &body, 1, NULL, NULL);
    while (rc == NC_OK && came < count) {
        uint64_t tag = 0;
        nc_answer *answer = NULL;
        rc = nc_next_answer(req, UINT64_MAX, &tag, &answer, NULL);
        if (rc == NC_OK && (tag >= count || seen[tag]++)) rc = nc_fail(req, "an answer came twice");
        nc_answer_free(answer);
        came++;
    }
    if (rc == NC_OK) rc = reply_text(req, "%zu", came);
    free(seen);
    free(text);
    return rc;
}

int32_t keep_two(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    char *name = first_line(text, &rest);
    nc_bytes body = bytes_of(rest);
    nc_answer *one = NULL, *two = NULL;
    int32_t rc = nc_call(req, name, &body, 1, &one);
    if (rc == NC_OK) rc = nc_call(req, name, &body, 1, &two);
    if (rc == NC_OK) {
        nc_bytes first = nc_answer_body(one), second = nc_answer_body(two);
        int same = first.len == second.len && memcmp(first.data, second.data, first.len) == 0;
        rc = reply_text(req, same ? "same" : "other");
    }
    nc_answer_free(one);
    nc_answer_free(two);
    free(text);
    return rc;
}

int32_t probe(nc_request *req, void *user) {
    (void)user;
    unsigned long count = body_number(req);
    for (unsigned long i = 1; i <= count; i++) {
        char text[32];
        snprintf(text, sizeof text, "probe-%010lu", i);
        nc_bytes body = bytes_of(text);
        nc_answer *answer = NULL;
        int32_t rc = nc_call(req, "Echo", &body, 1, &answer);
        nc_answer_free(answer);
        if (rc != NC_OK) return rc;
    }
    return reply_text(req, "probed");
}

int32_t probe_big(nc_request *req, void *user) {
    (void)user;
    static const char word[] = "bigger-than-any-message.";
    static uint8_t bytes[65536];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)word[i % (sizeof word - 1)];
    nc_bytes body = {bytes, sizeof bytes};
    nc_answer *answer = NULL;
    int32_t rc = nc_call(req, "Echo", &body, 1, &answer);
    if (rc == NC_OK) rc = reply_text(req, "%zu", nc_answer_body(answer).len);
    nc_answer_free(answer);
    return rc;
}
