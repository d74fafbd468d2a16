// What crosses between Go and libnightcore: as much at once as can be, since each crossing costs.

#ifndef NIGHTCORE_GO_SHIM_H
#define NIGHTCORE_GO_SHIM_H

#include <nightcore.h>

// Digits of the id of a call.
enum { NC_GO_CALL_ID_LEN = 16 };

// What happened, with what would else be asked for one by one.
typedef struct {
    uint32_t kind;
    int32_t status;
    uint64_t request_id;
    uint64_t tag;
    nc_request *request;
    nc_answer *answer;
    nc_error *error;
    // Of the request, or of the answer.
    nc_bytes body;
    size_t metadata_bytes;
    nc_bytes caller;
    char call_id[NC_GO_CALL_ID_LEN];
    uint64_t time_left_ns;
    uint32_t http_status;
} nc_go_event;

// Metadata as Go has them: of each pair the lengths of name and value, four bytes each, then both.
typedef struct {
    const uint8_t *block;
    size_t len;
    size_t count;
} nc_go_metadata;

// As nc_worker_next, with a timeout of 0.
int32_t nc_go_next(nc_worker *worker, nc_go_event *event);

// As nc_worker_next_many, with room for NC_GO_MAX_EVENTS.
enum { NC_GO_MAX_EVENTS = 16 };
int32_t nc_go_next_many(nc_worker *worker, nc_go_event *events, size_t *count);

// Writes the metadata_bytes of a request, or of an answer, which is then freed.
void nc_go_request_metadata(const nc_request *req, uint8_t *to);
void nc_go_answer_metadata(nc_answer *answer, uint8_t *to);

// As nc_call_start. The name is no longer than NC_GO_MAX_NAME.
enum { NC_GO_MAX_NAME = 255 };
int32_t nc_go_call(nc_request *req, uint64_t tag, const char *name, size_t name_len,
                   const uint8_t *body, size_t body_len, uint64_t timeout_ns,
                   nc_go_metadata metadata, nc_error **error);

// As nc_process_call_start. At its end the Go function ncGoEnded is called with the handle.
int32_t nc_go_process_call(uintptr_t handle, const char *name, size_t name_len,
                           const uint8_t *body, size_t body_len, uint64_t timeout_ns,
                           nc_go_metadata metadata, uint64_t *number, nc_error **error);

// Answers, and frees the request. One that cannot be answered so fails with the reason.
void nc_go_reply(nc_request *req, const uint8_t *body, size_t body_len, nc_go_metadata metadata);

#endif
