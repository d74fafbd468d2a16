// The interface between Go and libnightcore. Each function does as much as it can, because every
// crossing between Go and C costs time.

#ifndef NIGHTCORE_GO_SHIM_H
#define NIGHTCORE_GO_SHIM_H

#include <nightcore.h>

// The number of digits of a call id.
enum { NC_GO_CALL_ID_LEN = 16 };

// An event, with all values that Go would otherwise get by further calls into C.
typedef struct {
    uint32_t kind;
    int32_t status;
    uint64_t request_id;
    uint64_t tag;
    nc_request *request;
    nc_answer *answer;
    nc_error *error;
    // The body, the metadata and the other values of the request or of the answer.
    nc_bytes body;
    size_t metadata_bytes;
    nc_bytes caller;
    char call_id[NC_GO_CALL_ID_LEN];
    uint64_t time_left_ns;
    uint32_t http_status;
} nc_go_event;

// Metadata in Go's form: for each pair the lengths of the name and the value, four bytes each, then
// the name and the value.
typedef struct {
    const uint8_t *block;
    size_t len;
    size_t count;
} nc_go_metadata;

// Does what nc_worker_next does, with a timeout of 0.
int32_t nc_go_next(nc_worker *worker, nc_go_event *event);

// Does what nc_worker_next_many does, with room for NC_GO_MAX_EVENTS events.
enum { NC_GO_MAX_EVENTS = 16 };
int32_t nc_go_next_many(nc_worker *worker, nc_go_event *events, size_t *count);

// Writes the metadata_bytes bytes of metadata of a request, or of an answer, which is then freed.
void nc_go_request_metadata(const nc_request *req, uint8_t *to);
void nc_go_answer_metadata(nc_answer *answer, uint8_t *to);

// Does what nc_call_start does. The name has at most NC_GO_MAX_NAME bytes.
enum { NC_GO_MAX_NAME = 255 };
int32_t nc_go_call(nc_request *req, uint64_t tag, const char *name, size_t name_len,
                   const uint8_t *body, size_t body_len, uint64_t timeout_ns,
                   nc_go_metadata metadata, nc_error **error);

// Does what nc_process_call_start does. When the call ends, it calls the Go function ncGoEnded with
// the handle.
int32_t nc_go_process_call(uintptr_t handle, const char *name, size_t name_len,
                           const uint8_t *body, size_t body_len, uint64_t timeout_ns,
                           nc_go_metadata metadata, uint64_t *number, nc_error **error);

// Replies to a request, and frees it. If the reply is refused, the call fails with the reason.
void nc_go_reply(nc_request *req, const uint8_t *body, size_t body_len, nc_go_metadata metadata);

#endif
