//go:build linux

#include "shim.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// The size of the two lengths before the bytes of each pair.
enum { PAIR_HEAD = 2 * sizeof(uint32_t) };

// The most pairs that are kept without an allocation.
enum { FEW_PAIRS = 32 };

static size_t pair_bytes(const nc_pair *pair) {
    return PAIR_HEAD + pair->name.len + pair->value.len;
}

static uint8_t *put_pair(uint8_t *to, const nc_pair *pair) {
    const uint32_t head[] = {(uint32_t)pair->name.len, (uint32_t)pair->value.len};
    memcpy(to, head, PAIR_HEAD);
    to += PAIR_HEAD;
    if (pair->name.len > 0) memcpy(to, pair->name.data, pair->name.len);
    to += pair->name.len;
    if (pair->value.len > 0) memcpy(to, pair->value.data, pair->value.len);
    return to + pair->value.len;
}

static size_t request_metadata_bytes(const nc_request *req) {
    size_t bytes = 0;
    nc_pair pair;
    for (size_t i = 0; nc_request_metadata_at(req, i, &pair) == NC_OK; i++)
        bytes += pair_bytes(&pair);
    return bytes;
}

void nc_go_request_metadata(const nc_request *req, uint8_t *to) {
    nc_pair pair;
    for (size_t i = 0; nc_request_metadata_at(req, i, &pair) == NC_OK; i++)
        to = put_pair(to, &pair);
}

static size_t answer_metadata_bytes(const nc_answer *answer) {
    size_t bytes = 0;
    nc_pair pair;
    for (size_t i = 0; nc_answer_metadata_at(answer, i, &pair) == NC_OK; i++)
        bytes += pair_bytes(&pair);
    return bytes;
}

void nc_go_answer_metadata(nc_answer *answer, uint8_t *to) {
    nc_pair pair;
    for (size_t i = 0; nc_answer_metadata_at(answer, i, &pair) == NC_OK; i++)
        to = put_pair(to, &pair);
    nc_answer_free(answer);
}

static nc_go_event go_event(const nc_event *event) {
    nc_go_event result = {
        .kind = event->kind,
        .status = event->status,
        .request_id = event->request_number,
        .tag = event->tag,
        .request = event->request,
        .answer = event->answer,
        .error = event->error,
    };
    if (event->kind == NC_EVENT_REQUEST) {
        result.body = nc_request_body(event->request);
        result.metadata_bytes = request_metadata_bytes(event->request);
        result.caller = nc_request_caller(event->request);
        memcpy(result.call_id, nc_request_call_id(event->request), NC_GO_CALL_ID_LEN);
        result.time_left_ns = nc_request_time_left_ns(event->request);
    } else if (event->answer != NULL) {
        result.body = nc_answer_body(event->answer);
        result.metadata_bytes = answer_metadata_bytes(event->answer);
        result.http_status = nc_answer_http_status(event->answer);
    }
    return result;
}

int32_t nc_go_next(nc_worker *worker, nc_go_event *event) {
    nc_event next = {.struct_size = sizeof next};
    int32_t status = nc_worker_next(worker, 0, &next);
    if (status == NC_OK) *event = go_event(&next);
    return status;
}

int32_t nc_go_next_many(nc_worker *worker, nc_go_event *events, size_t *count) {
    nc_event next[NC_GO_MAX_EVENTS];
    next[0].struct_size = sizeof next[0];
    int32_t status = nc_worker_next_many(worker, next, NC_GO_MAX_EVENTS, count);
    for (size_t i = 0; i < *count; i++) events[i] = go_event(&next[i]);
    return status;
}

// Returns the pairs of a block. They are in `few` if they fit, else in allocated memory. Returns
// NULL if there is none.
static nc_pair *pairs_of(nc_go_metadata metadata, nc_pair *few) {
    nc_pair *pairs = metadata.count <= FEW_PAIRS ? few : malloc(metadata.count * sizeof *pairs);
    const uint8_t *from = metadata.block;
    for (size_t i = 0; pairs != NULL && i < metadata.count; i++) {
        uint32_t head[2];
        memcpy(head, from, PAIR_HEAD);
        from += PAIR_HEAD;
        pairs[i] = (nc_pair){.name = {from, head[0]}, .value = {from + head[0], head[1]}};
        from += (size_t)head[0] + head[1];
    }
    return pairs;
}

// The arguments of a call, in the form that the library takes.
typedef struct {
    char name[NC_GO_MAX_NAME + 1];
    nc_bytes body;
    nc_pair few[FEW_PAIRS];
    nc_call_options options;
} asked;

// Fills in the arguments of a call. Returns false if there is no memory. `call` must not be moved,
// and `forget` frees its memory.
static bool ask(asked *call, const char *name, size_t name_len, nc_bytes body, uint64_t timeout_ns,
                nc_go_metadata metadata) {
    memcpy(call->name, name, name_len);
    call->name[name_len] = '\0';
    call->body = body;
    call->options = (nc_call_options){
        .struct_size = sizeof call->options,
        .timeout_ns = timeout_ns,
        .metadata = pairs_of(metadata, call->few),
        .metadata_count = metadata.count,
    };
    return call->options.metadata != NULL;
}

static void forget(asked *call) {
    if (call->options.metadata != call->few) free((nc_pair *)call->options.metadata);
}

int32_t nc_go_call(nc_request *req, uint64_t tag, const char *name, size_t name_len,
                   const uint8_t *body, size_t body_len, uint64_t timeout_ns,
                   nc_go_metadata metadata, nc_error **error) {
    asked call;
    const nc_bytes payload = {body, body_len};
    if (!ask(&call, name, name_len, payload, timeout_ns, metadata)) return NC_INTERNAL;
    int32_t status = nc_call_start(req, tag, call.name, &call.body, 1, &call.options, error);
    forget(&call);
    return status;
}

// This function is written in Go.
extern void ncGoEnded(uintptr_t handle, nc_go_event *event);

static void ended(void *user, int32_t status, nc_answer *answer, nc_error *error) {
    const nc_event event = {
        .struct_size = sizeof event,
        .kind = NC_EVENT_ANSWER,
        .status = status,
        .answer = answer,
        .error = error,
    };
    nc_go_event result = go_event(&event);
    ncGoEnded((uintptr_t)user, &result);
}

int32_t nc_go_process_call(uintptr_t handle, const char *name, size_t name_len,
                           const uint8_t *body, size_t body_len, uint64_t timeout_ns,
                           nc_go_metadata metadata, uint64_t *number, nc_error **error) {
    asked call;
    const nc_bytes payload = {body, body_len};
    if (!ask(&call, name, name_len, payload, timeout_ns, metadata)) return NC_INTERNAL;
    int32_t status = nc_process_call_start(call.name, &call.body, 1, &call.options, ended,
                                           (void *)handle, number, error);
    forget(&call);
    return status;
}

void nc_go_reply(nc_request *req, const uint8_t *body, size_t body_len, nc_go_metadata metadata) {
    nc_pair few[FEW_PAIRS];
    nc_pair *pairs = pairs_of(metadata, few);
    const nc_bytes part = {body, body_len};
    if (pairs == NULL)
        nc_fail(req, "no memory for the answer's metadata");
    else
        nc_reply_with(req, &part, 1, pairs, metadata.count);
    if (pairs != few) free(pairs);
    nc_request_free(req);
}
