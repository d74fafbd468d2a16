/*
 * Nightcore for C: handlers of functions that call each other. docs/c.md shows how to use it, and
 * docs/ABI.md has the rules that hold for every function: ownership, threads, errors, versions.
 *
 * Generated from bindings/c by `make bindings`. Do not edit.
 *
 * In short:
 * - nc_bytes and const char * results are borrowed.
 * - An object that a function gives through a pointer to a pointer belongs to the program, which
 *   frees it by the function whose name ends in _free. Every _free function takes NULL.
 * - An nc_status is NC_OK after a success. A program may return and pass any int32_t as a status.
 * - In the child of a fork every such function returns NC_FORKED.
 */

#ifndef NIGHTCORE_H
#define NIGHTCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Marks an old name, which goes away with the next release.
#if defined(__cplusplus)
#define NC_DEPRECATED(instead) [[deprecated(instead)]]
#elif defined(__GNUC__)
#define NC_DEPRECATED(instead) __attribute__((deprecated(instead)))
#else
#define NC_DEPRECATED(instead)
#endif

// The nc_bytes of a string literal, without its final zero.
#ifdef __cplusplus
#define NC_LITERAL(text) (nc_bytes{reinterpret_cast<const uint8_t *>("" text), sizeof(text) - 1})
#else
#define NC_LITERAL(text) ((nc_bytes){(const uint8_t *)("" text), sizeof(text) - 1})
#endif

// The version of the C interface that this header declares. It rises by one whenever functions are
// added. A function never changes under the same library name (`libnightcore.so.0`).
#define NC_ABI_VERSION 11

// The longest name of a function, in bytes.
#define NC_MAX_NAME_BYTES 63

// The most bytes that the metadata of one message take when they are encoded.
#define NC_MAX_METADATA_BYTES 32768

// The most calls that one worker may have under way at once.
#define NC_MAX_OPEN_CALLS 1024

// The smallest `struct_size` of nc_call_options that the library accepts: the size of its first
// version.
#define NC_CALL_OPTIONS_MIN_SIZE 40

// A request to run. `request` belongs to the program, which frees it by nc_request_free;
// `request_number` is its number.
#define NC_EVENT_REQUEST 1

// A call that the request `request_number` started by nc_call_start with `tag` has ended with
// `status`. If that is NC_OK, `answer` is set, otherwise `error`; both belong to the program.
#define NC_EVENT_ANSWER 2

// The request `request_number` is cancelled. `status` is NC_DEADLINE_EXCEEDED if its deadline has
// passed, NC_CANCELLED if its caller has left.
#define NC_EVENT_CANCELLED 3

// No more events come: end the process.
#define NC_EVENT_ENDED 4

// The smallest `struct_size` of nc_event that the library accepts: the size of its first version.
#define NC_EVENT_MIN_SIZE 56

// The smallest `struct_size` of nc_test_request that the library accepts: the size of its first
// version.
#define NC_TEST_REQUEST_MIN_SIZE 88

// How a call or an operation of the library ended. A call ends only with a status below
// NC_INVALID_ARGUMENT; the other statuses are the library's own.
enum nc_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The operation succeeded.
    NC_OK = 0,
    // There is no function of this name, or it may not be called from outside.
    NC_NOT_FOUND = 1,
    // A body is larger than the configured limit, or the metadata are larger than 32 KiB.
    NC_PAYLOAD_TOO_LARGE = 2,
    // The handler failed: it returned an error or raised an exception.
    NC_FUNCTION_FAILED = 3,
    // The function's process died during the call.
    NC_CONTAINER_DIED = 4,
    // A queue or a memory budget is full.
    NC_OVERLOADED = 5,
    // No worker of the function is available, or the engine has stopped.
    NC_UNAVAILABLE = 6,
    // The deadline passed.
    NC_DEADLINE_EXCEEDED = 7,
    // The caller no longer waits for the answer.
    NC_CANCELLED = 8,
    // Calls are nested too deeply.
    NC_DEPTH_EXCEEDED = 9,
    // An argument is not valid.
    NC_INVALID_ARGUMENT = 100,
    // The request belongs to another thread.
    NC_WRONG_THREAD = 101,
    // The process is a fork of a worker, whose handles belong to its parent.
    NC_FORKED = 102,
    // Nothing is ready: wait for the descriptor to become readable, or try again.
    NC_AGAIN = 103,
    // The operation is not allowed in this state, such as a second reply to one request.
    NC_INVALID_STATE = 104,
    // The process was not started by Nightcore.
    NC_NOT_STARTED = 105,
    // The engine refused this process, such as for its protocol version or its token.
    NC_REFUSED = 106,
    // The engine has ended the session: end the process.
    NC_ENDED = 107,
    // The library has a defect.
    NC_INTERNAL = 108,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum nc_status nc_status;
#else
typedef int32_t nc_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The answer to a call. Opaque. The program owns it until nc_answer_free, also after the request
// has ended. Any thread may use it. Its body and metadata are valid as long as the answer.
typedef struct nc_answer nc_answer;

// Memory that the engine can read: the library sends a reply that was made in it without a copy.
// Opaque. The program owns it until nc_reply_buffer or nc_buffer_free.
typedef struct nc_buffer nc_buffer;

// The reason why a call or an operation failed. Opaque. Any thread may use it. A function that has
// a parameter `nc_error **error` gives an error to the program, which frees it by nc_error_free;
// the parameter may be NULL.
typedef struct nc_error nc_error;

// A request: a call that a function of this process runs. Opaque.
//
// The library lends a request to a handler until the handler returns. Replies and calls are then
// allowed on the handler's thread only; functions that only read the request are allowed on any
// thread. nc_worker_next gives a request to the program, which frees it by nc_request_free and may
// use it on any thread.
//
// The body, names and metadata of a request are valid as long as the request.
//
// The library keeps the memory of a request that has ended for later requests. A handle that is
// used too late is therefore detected, and never points to freed memory.
typedef struct nc_request nc_request;

// The registration of a callback that runs when a request is cancelled. Opaque. The program owns
// it until nc_watch_free.
typedef struct nc_watch nc_watch;

// A worker whose requests run in an event loop of the program, many at the same time. Opaque.
typedef struct nc_worker nc_worker;

// The code of a function. The library calls it on its worker threads, on several at the same time.
//
// A handler ends its request by nc_reply, nc_fail or one of the related functions, and returns
// NC_OK. If it returns NC_OK without a reply, the caller gets an empty answer. If it returns
// another status without a reply, the call fails:
//
// - If it is the status of the last operation of this request that failed, such as a call, the
//   caller gets that error with its causes.
// - If it is another status below NC_INVALID_ARGUMENT, the call fails with this status.
// - If it is any other number, the call fails with FUNCTION_FAILED.
//
// `req` is valid until the handler returns, and belongs to the thread that the handler runs on.
// `user` is the pointer that the program passed to nc_handle. A C++ exception must not leave a
// handler. The thread must not end inside a handler: pthread_exit and pthread_cancel abort the
// process.
typedef int32_t (*nc_handler)(nc_request *req, void *user);

// A borrowed array of bytes, without a terminating zero byte. The lender keeps ownership. `data`
// may be NULL if `len` is 0.
typedef struct {
    // The first byte.
    const uint8_t *data;
    // The number of bytes.
    size_t len;
} nc_bytes;

// One pair of metadata: a name and a value.
//
// A name has 1 to 255 bytes of visible ASCII; the library sends it in lower case. In a reply the
// name ":status" sets the HTTP status. A function that is given a malformed name returns
// NC_INVALID_ARGUMENT. It returns NC_PAYLOAD_TOO_LARGE if all pairs together take more than 32
// KiB.
typedef struct {
    // The name.
    nc_bytes name;
    // The value.
    nc_bytes value;
} nc_pair;

// A callback that runs when a request is cancelled. It must not throw. It should be short, because
// it delays other such callbacks.
typedef void (*nc_on_cancel)(void *user);

// Options of a call. Set the whole struct to zero, then set `struct_size` and the fields that you
// need.
typedef struct {
    // sizeof(nc_call_options). The program's header may be older or newer than the library. The
    // library treats fields that the program does not know as zero, and rejects a field that it
    // does not know itself unless the field is zero.
    size_t struct_size;
    // The longest time that the call may take, in nanoseconds; 0 for no limit. The deadline of the
    // request applies in any case.
    uint64_t timeout_ns;
    // Metadata for the called function; borrowed until the function that takes the options
    // returns.
    const nc_pair *metadata;
    // The number of pairs in `metadata`.
    size_t metadata_count;
    // Must be 0: no flags are defined.
    uint32_t flags;
} nc_call_options;

// A callback that nc_process_call_start runs when its call has ended. It gets the status of the
// call, and either the answer or the error, which belongs to the program as that of nc_call_with
// does. The callback must not throw. It should be short, because it delays those of other calls.
typedef void (*nc_on_answer)(void *user, int32_t status, nc_answer *answer, nc_error *error);

// An event. The program sets `struct_size`, nc_worker_next sets all other fields. A field that the
// event does not use is 0 or NULL.
typedef struct {
    // sizeof(nc_event). The program's header may be older or newer than the library. The library
    // writes only fields that the program knows, and sets fields that it does not know itself to
    // zero.
    size_t struct_size;
    // The kind of the event: one of NC_EVENT_*. Ignore an event of an unknown kind.
    uint32_t kind;
    // NC_EVENT_ANSWER: the status of the call. NC_EVENT_CANCELLED: the reason.
    int32_t status;
    // NC_EVENT_REQUEST: the request.
    nc_request *request;
    // The number of the request that the event is about.
    uint64_t request_number;
    // NC_EVENT_ANSWER: the tag of the call.
    uint64_t tag;
    // NC_EVENT_ANSWER: the answer.
    nc_answer *answer;
    // NC_EVENT_ANSWER: the reason why there is no answer.
    nc_error *error;
} nc_event;

// A request for a test of a handler. Set the whole struct to zero, then set `struct_size` and the
// fields that you need. The library copies everything before the handler runs.
typedef struct {
    // sizeof(nc_test_request), for the same reason as in nc_call_options.
    size_t struct_size;
    // The name of the function under test. NULL stands for "Test".
    const char *function;
    // The name of the function that makes the call. NULL means that it comes through the gateway.
    const char *caller;
    // The body of the request.
    nc_bytes body;
    // The metadata of the request.
    const nc_pair *metadata;
    // The number of pairs in `metadata`.
    size_t metadata_count;
    // The time left until the deadline, in nanoseconds. It stays the same while the handler runs.
    // 0 means no deadline.
    uint64_t time_left_ns;
    // The reason for which the request is cancelled from the start: NC_CANCELLED or
    // NC_DEADLINE_EXCEEDED. NC_OK means that it is not cancelled.
    int32_t cancel_reason;
    // Must be 0: no flags are defined.
    uint32_t flags;
    // The test double: it handles each call that the handler makes. Its own request has the name,
    // the body and the metadata of that call, so it can replace several functions. If it is NULL,
    // every call fails with NC_NOT_FOUND.
    nc_handler callee;
    // The `user` of `callee`.
    void *callee_user;
} nc_test_request;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the NC_ABI_VERSION of the loaded library. If it is at least this header's
// NC_ABI_VERSION, the library has every function that this header declares.
uint32_t nc_abi_version(void);

// Returns the version of Nightcore that the loaded library belongs to, such as "0.1.0". The text
// is static: never free it.
const char *nc_version(void);

// Returns the name of a status, such as "NOT_FOUND". Returns "UNKNOWN" if no status has this
// number. The text is static: never free it.
const char *nc_status_name(int32_t status);

// Registers the handler of a function, from any thread, before nc_serve. The library copies
// `name`. It passes `user` to the handler at every call, so `user` must stay valid while the
// process serves.
//
// Returns NC_INVALID_ARGUMENT if `name` cannot name a function or has a handler already. The
// library also writes the reason to standard error.
nc_status nc_handle(const char *name, nc_handler handler, void *user);

// Serves requests until the engine ends this process. The calling thread becomes the launching
// thread. The library creates the threads for handlers when the engine asks for them.
//
// Returns the process exit code for main, not an `NC_*` status: 0 after a normal end; 1 if the
// engine is gone or cannot be reached; 2 if the process was started in a wrong way or refused, for
// example because it has no handler for its function. If the code is not 0, the library has
// written the reason to standard error.
int32_t nc_serve(void);

// Returns the body. It is empty if the request has ended.
nc_bytes nc_request_body(const nc_request *req);

// Returns the name of the function that was called.
nc_bytes nc_request_function(const nc_request *req);

// Returns true if another function made the call, false if it came through the gateway.
bool nc_request_is_internal(const nc_request *req);

// Returns the name of the function that made the call. It is empty if the call came through the
// gateway.
nc_bytes nc_request_caller(const nc_request *req);

// Writes the first value of the metadata with this name to `value`.
//
// Returns NC_NOT_FOUND if there is none; `value` is then empty.
nc_status nc_request_metadata(const nc_request *req, const char *name, nc_bytes *value);

// Returns the number of pairs of metadata.
size_t nc_request_metadata_count(const nc_request *req);

// Writes the pair of metadata at `index` to `pair`. Pairs keep the order in which they were sent.
//
// Returns NC_NOT_FOUND if `index` is not below the number of pairs.
nc_status nc_request_metadata_at(const nc_request *req, size_t index, nc_pair *pair);

// Returns the nanoseconds until the deadline of the call: 0 if it has passed, UINT64_MAX if the
// call has no deadline.
uint64_t nc_request_time_left_ns(const nc_request *req);

// Returns true if the request is cancelled: nobody waits for its reply any more, because the
// caller has left or the deadline has passed. Also returns true if the request has ended. The
// function costs one load from memory, so a loop can afford it. Any thread may call it.
bool nc_request_cancelled(const nc_request *req);

// Returns the reason why the request is cancelled: NC_DEADLINE_EXCEEDED if the deadline has
// passed, NC_CANCELLED if the caller has left, NC_OK if the request is not cancelled. The function
// costs as little as nc_request_cancelled. Any thread may call it.
//
// Returns NC_INVALID_STATE if the request has ended.
nc_status nc_request_cancel_reason(const nc_request *req);

// Returns the number of a request that nc_worker_next gave. Later events name the request by it,
// as `request_number`. It is 0 for the request of a handler. It is not the id of the call: see
// nc_request_call_id.
uint64_t nc_request_number(const nc_request *req);

// The old name of nc_request_number.
NC_DEPRECATED("use nc_request_number; nc_request_call_id returns the id of the call")
uint64_t nc_request_id(const nc_request *req);

// Returns the call id: 16 hexadecimal digits. A call from outside and all calls below it share one
// id; the client gets it in the header X-Nightcore-Call. The text is valid as long as the request.
// It is empty if the request has ended.
const char *nc_request_call_id(const nc_request *req);

// Writes a text to standard error. Each of its lines reaches the function's log with the call id,
// so that `nightcore logs --call ID` finds it. Any thread may call it.
//
// Returns NC_INVALID_STATE if the request has ended.
nc_status nc_log(const nc_request *req, const char *text);

// Frees a request that nc_worker_next gave. If the request has no reply, its call fails. If the
// last reply was refused, the error of the call gives the reason. Does nothing if `req` is NULL or
// the request of a handler, which ends when the handler returns.
void nc_request_free(nc_request *req);

// Registers a callback for the cancellation of a handler's request: the library then calls `run`
// once with `user`. Allowed on the handler's thread only.
//
// The library calls `run` a few milliseconds after the cancellation, on a thread of its own that
// runs all such callbacks of the process one after the other. If the request is cancelled already,
// this function calls `run` itself. `run` may therefore run at the same time as the handler, and
// may use the request in the ways that are allowed on any thread.
//
// `*watch` belongs to the program: free it by nc_watch_free before the memory behind `user` goes
// away. After the handler has returned, the library does not call `run` any more. While a watch
// exists, the library polls for cancellations every millisecond; otherwise it does not poll.
//
// Returns NC_INVALID_STATE if the request has ended or came from nc_worker_next, which reports a
// cancellation by NC_EVENT_CANCELLED. Returns NC_OVERLOADED if the thread cannot be created.
nc_status nc_request_on_cancel(nc_request *req, nc_on_cancel run, void *user, nc_watch **watch);

// Frees a watch. Does nothing if `watch` is NULL. Afterwards its callback does not run any more.
// If the callback is running on another thread, this function waits for its end. Any thread may
// call it, also the callback itself.
void nc_watch_free(nc_watch *watch);

// Creates an error for nc_pass_on. `function` names the function that failed; NULL or "" stands
// for the program itself. `message` may be NULL; bytes in it that are not UTF-8 are replaced. The
// library copies both texts. `*error` belongs to the program: free it by nc_error_free.
//
// Returns NC_INVALID_ARGUMENT if no call can end with `status`, or `function` is not UTF-8.
nc_status nc_error_new(int32_t status, const char *function, const char *message, nc_error **error);

// Adds a cause after the causes that `error` has already. The parameters are those of
// nc_error_new. No other thread may use the error at the same time.
nc_status nc_error_add_cause(nc_error *error,
                             int32_t status,
                             const char *function,
                             const char *message);

// Returns the status. Returns NC_OK if `error` is NULL.
nc_status nc_error_status(const nc_error *error);

// Returns a human-readable description of the failure. The text is valid as long as the error. It
// is empty if `error` is NULL.
const char *nc_error_message(const nc_error *error);

// Returns the name of the function whose call failed. The text is valid as long as the error. It
// is empty if the library itself reports the error.
const char *nc_error_function(const nc_error *error);

// Returns the number of causes: the errors of called functions that led to this one.
size_t nc_error_cause_count(const nc_error *error);

// Returns the cause at `index`, the nearest first. It has a function, a status and a message, and
// no causes of its own. It is borrowed: valid as long as the error; do not free it. Returns NULL
// if `index` is not below the number of causes.
const nc_error *nc_error_cause_at(const nc_error *error, size_t index);

// Frees an error. Does nothing if `error` is NULL.
void nc_error_free(nc_error *error);

// Returns the body. It is empty if `answer` is NULL.
nc_bytes nc_answer_body(const nc_answer *answer);

// Returns the HTTP status that the function chose, or 200 if it chose none. Returns 0 if `answer`
// is NULL. A call that was answered with any HTTP status has succeeded; nc_answer_check turns a
// status of 400 or more into an error.
uint32_t nc_answer_http_status(const nc_answer *answer);

// The old name of nc_answer_http_status.
NC_DEPRECATED("use nc_answer_http_status") uint32_t nc_answer_status(const nc_answer *answer);

// Turns an answer whose HTTP status is 400 or more into an error. `function` is the name of the
// function that gave the answer.
//
// Returns NC_OK if the HTTP status is below 400. Otherwise returns NC_FUNCTION_FAILED, and the
// error names the HTTP status and quotes the first 200 characters of a text body. A handler that
// returns this status passes the error on, as it does with the error of a call. `req` is the
// request of the handler, or NULL for an answer to nc_process_call. `error` may be NULL; `*error`
// belongs to the program. The program keeps ownership of the answer.
nc_status nc_answer_check(nc_request *req,
                          const char *function,
                          const nc_answer *answer,
                          nc_error **error);

// Writes the first value of the metadata with this name to `value`.
//
// Returns NC_NOT_FOUND if there is none; `value` is then empty.
nc_status nc_answer_metadata(const nc_answer *answer, const char *name, nc_bytes *value);

// Returns the number of pairs of metadata.
size_t nc_answer_metadata_count(const nc_answer *answer);

// Writes the pair of metadata at `index` to `pair`. Pairs keep the order in which they were sent.
//
// Returns NC_NOT_FOUND if `index` is not below the number of pairs.
nc_status nc_answer_metadata_at(const nc_answer *answer, size_t index, nc_pair *pair);

// Frees an answer. Does nothing if `answer` is NULL.
void nc_answer_free(nc_answer *answer);

// Calls a function and waits for its answer, on a handler's thread only. The body of the call is
// `count` parts, one after the other; `parts` may be NULL if `count` is 0. When nc_call returns,
// the library has copied or sent the parts. While the handler waits, another call may use its
// slot.
//
// Returns NC_OK if the function answered: `*answer` then belongs to the program, which frees it by
// nc_answer_free. Otherwise `*answer` is NULL, and a handler that returns the status passes the
// error on.
//
// Returns NC_NOT_FOUND if no function has this name. Returns NC_INVALID_STATE if the request has a
// reply, has ended, or came from nc_worker_next. Another status is the reason of a failed call.
nc_status nc_call(nc_request *req,
                  const char *name,
                  const nc_bytes *parts,
                  size_t count,
                  nc_answer **answer);

// Does what nc_call does, with options and with the reason of a failure. `options` and `error` may
// be NULL. After a failure `*error` belongs to the program, which frees it by nc_error_free; after
// NC_OK it is NULL.
nc_status nc_call_with(nc_request *req,
                       const char *name,
                       const nc_bytes *parts,
                       size_t count,
                       const nc_call_options *options,
                       nc_answer **answer,
                       nc_error **error);

// Starts a call without waiting for its answer. The program chooses `tag` to recognize the answer:
// a handler gets it from nc_next_answer, an event loop as NC_EVENT_ANSWER. At most 1024 calls may
// be under way at the same time. A reply cancels the calls that are still under way.
//
// `parts`, `options` and `error` are those of nc_call_with. Returns NC_OK if the call is under
// way. After any other status no answer will come.
nc_status nc_call_start(nc_request *req,
                        uint64_t tag,
                        const char *name,
                        const nc_bytes *parts,
                        size_t count,
                        const nc_call_options *options,
                        nc_error **error);

// Cancels a call that an event loop started with this tag, and all calls below it. Its event still
// comes, with NC_CANCELLED unless the call ended in another way just before. Does nothing if the
// call has ended.
//
// Returns NC_INVALID_STATE if the request has a reply, has ended, or belongs to a handler.
nc_status nc_call_cancel(nc_request *req, uint64_t tag);

// Waits for the next answer to a call that nc_call_start started, on a handler's thread only.
// Answers come in the order in which they arrive. `timeout_ns` is the longest wait: 0 never waits,
// UINT64_MAX waits without a limit and lets another call use the handler's slot.
//
// Returns how that call ended, and writes its tag to `tag`: NC_OK with the answer in `*answer`, or
// its status with the reason in `*error`, which may be NULL. Both belong to the program. A status
// of NC_INVALID_ARGUMENT or above is about the wait itself and leaves `tag` alone: NC_AGAIN if the
// time has passed, NC_INVALID_STATE if no call is under way.
nc_status nc_next_answer(nc_request *req,
                         uint64_t timeout_ns,
                         uint64_t *tag,
                         nc_answer **answer,
                         nc_error **error);

// Calls a function outside of any request, and waits for its answer. Any thread of a process that
// serves may call it, also while no handler runs. The parameters are those of nc_call_with. The
// call has no parent, so the end of a request does not cancel it. Its deadline comes from the
// called function's timeout or from `options`, whichever is earlier.
//
// Such calls are possible until the process ends, also after nc_serve has returned. With an event
// loop they are possible until nc_worker_free, and after it if the process has made one before.
// The first one creates a channel, and a thread of the library, nc-caller.
//
// Returns NC_INVALID_STATE if the process does not serve, or on the thread of nc_on_answer, which
// must not wait. Returns NC_OVERLOADED if 1024 such calls are under way. Returns NC_UNAVAILABLE if
// the engine is gone or too old.
nc_status nc_process_call(const char *name,
                          const nc_bytes *parts,
                          size_t count,
                          const nc_call_options *options,
                          nc_answer **answer,
                          nc_error **error);

// Starts a call outside of any request without waiting for its answer. When the call has ended,
// the library calls `done` once with `user`, on the thread nc-caller, perhaps before this function
// returns. It writes the number of the call to `call`, for nc_process_call_cancel; `call` may be
// NULL.
//
// Returns NC_OK if the call is under way. After any other status the library does not call `done`.
nc_status nc_process_call_start(const char *name,
                                const nc_bytes *parts,
                                size_t count,
                                const nc_call_options *options,
                                nc_on_answer done,
                                void *user,
                                uint64_t *call,
                                nc_error **error);

// Cancels a call of nc_process_call_start, and all calls below it. `done` still runs, with
// NC_CANCELLED unless the call ended in another way just before. Does nothing if the call has
// ended. Any thread may call it.
nc_status nc_process_call_cancel(uint64_t call);

// Replies with this body. When nc_reply returns, the library has copied the body. A request takes
// one reply, which cancels the calls that the request has under way. The library sends the reply
// of a handler when the handler returns, and that of an event loop at once.
//
// Returns NC_PAYLOAD_TOO_LARGE if the body is over the limit; another reply is still possible.
// Returns NC_INVALID_STATE if the request has a reply or has ended.
nc_status nc_reply(nc_request *req, nc_bytes body);

// Does what nc_reply does, with a body of `count` parts, one after the other, and with metadata.
// `parts` and `metadata` may be NULL if their count is 0. The pair ":status" sets the HTTP status;
// nc_reply_http is shorter.
nc_status nc_reply_with(nc_request *req,
                        const nc_bytes *parts,
                        size_t count,
                        const nc_pair *metadata,
                        size_t metadata_count);

// Does what nc_reply does, with an HTTP status from 200 to 599 and, unless it is NULL, a content
// type: `return nc_reply_http(req, 404, "text/plain; charset=utf-8", NC_LITERAL("no such
// user"));`. The call succeeds whatever the HTTP status is, and nothing is written to the log.
//
// Returns NC_INVALID_ARGUMENT if the HTTP status is not from 200 to 599.
nc_status nc_reply_http(nc_request *req,
                        uint32_t http_status,
                        const char *content_type,
                        nc_bytes body);

// Does what nc_reply_with does, with the first `len` bytes of a buffer as the body, which is not
// copied. The library takes ownership of the buffer, whatever status it returns.
nc_status nc_reply_buffer(nc_request *req,
                          nc_buffer *buffer,
                          size_t len,
                          const nc_pair *metadata,
                          size_t metadata_count);

// Fails the call with FUNCTION_FAILED and this message. Callers see up to 512 bytes of it, and the
// function's log has it in a line with the call id. Use nc_fail_unexpectedly for a reason that
// callers must not know. NC_OK means that the call fails; the handler's return value then has no
// effect, so `return nc_fail(req, "no such user");` is correct.
nc_status nc_fail(nc_request *req, const char *message);

// Fails the call with FUNCTION_FAILED for a reason that is not meant for callers, such as the text
// of an exception. `message` goes to the function's log. Callers get the `nightcore logs` command
// that finds it. A function with `expose_errors = true` shows the message to its callers, too.
nc_status nc_fail_unexpectedly(nc_request *req, const char *message);

// Fails the call with the error of a call that this handler made. Callers see that this function
// failed, with `error` and its causes as the reason. A handler that returns the status of a failed
// call does the same. The program keeps ownership of `error`.
nc_status nc_pass_on(nc_request *req, const nc_error *error);

// Allocates a buffer for a body of up to `capacity` bytes. It pays off from about 64 KiB. The
// memory is not initialized. `*buffer` belongs to the program.
//
// Returns NC_PAYLOAD_TOO_LARGE if `capacity` is over the limit for bodies. Returns NC_OVERLOADED
// if the process has no shared memory left.
nc_status nc_buffer_new(nc_request *req, size_t capacity, nc_buffer **buffer);

// Returns the memory to fill. It is valid as long as the buffer. Returns NULL if `buffer` is NULL.
uint8_t *nc_buffer_data(nc_buffer *buffer);

// Returns the size of a buffer in bytes. Returns 0 if `buffer` is NULL.
size_t nc_buffer_capacity(const nc_buffer *buffer);

// Frees a buffer that was not sent. Does nothing if `buffer` is NULL.
void nc_buffer_free(nc_buffer *buffer);

// Connects to the engine, for a program with an event loop of its own. A process uses either this
// function or nc_serve. `names` are the names of the `count` functions that this program has code
// for. `*worker` belongs to the program, which frees it by nc_worker_free. `error` may be NULL.
//
// Returns NC_NOT_STARTED, NC_REFUSED, NC_INVALID_ARGUMENT or NC_INVALID_STATE if the process was
// started in a wrong way: print the message and exit with 2. Returns NC_UNAVAILABLE or NC_ENDED if
// the engine is gone: exit with 1.
nc_status nc_worker_open(const char *const *names,
                         size_t count,
                         nc_worker **worker,
                         nc_error **error);

// Returns the descriptor to wait on. It belongs to the library: never read or close it. When it is
// readable, call nc_worker_next with a timeout of 0 until it returns NC_AGAIN. Returns -1 if
// `worker` is NULL.
int nc_worker_fd(const nc_worker *worker);

// Returns the name of the function to run. It is valid as long as the worker.
nc_bytes nc_worker_function(const nc_worker *worker);

// Writes the next event to `event`, whose `struct_size` the program has set. `timeout_ns` is the
// longest wait: with 0 the function never sleeps, with UINT64_MAX it waits without a limit. One
// thread at a time may call it.
//
// If every request waits for the answer to a call, or there is no request, the function may spin
// for up to 25 us before it sleeps or returns: see nc_worker_spins.
//
// Returns NC_AGAIN if there is no event: the time has passed, or a signal interrupted the wait.
nc_status nc_worker_next(nc_worker *worker, uint64_t timeout_ns, nc_event *event);

// Takes all events that have come: writes up to `max` of them to `events`, and their number to
// `count`. A number below `max` means that none is left. The program sets the `struct_size` of the
// first event; it applies to all. The function never sleeps; it may spin as nc_worker_next does.
// One thread at a time may call it, and that thread must also call nc_worker_next whenever
// nc_worker_fd is readable.
//
// Returns NC_AGAIN if there is no event.
nc_status nc_worker_next_many(nc_worker *worker, nc_event *events, size_t max, size_t *count);

// Returns a descriptor for a thread that waits for messages only, for a few milliseconds at most:
// call epoll_wait on this descriptor itself after nc_worker_next_many has found nothing. While a
// thread waits there, a message wakes that thread and none that waits on nc_worker_fd. The
// descriptor belongs to the library. Returns -1 if `worker` is NULL.
int nc_worker_message_fd(const nc_worker *worker);

// Returns true if nc_worker_next spins before it sleeps, which it does if the channel of this
// process is made of rings. Such a program gains by calling nc_worker_next with a timeout of 0
// once more before it parks, when its handlers have made their calls and sent their replies: a
// message that comes meanwhile does not have to wake it. Returns false if `worker` is NULL.
bool nc_worker_spins(const nc_worker *worker);

// The old name of nc_worker_spins, which it returns as 1 or 0.
NC_DEPRECATED("use nc_worker_spins") int32_t nc_worker_looks(const nc_worker *worker);

// Frees a worker. Does nothing if `worker` is NULL. The requests and answers of its events stay
// valid until the program frees them.
void nc_worker_free(nc_worker *worker);

// Runs a handler for a test, without an engine, nc_handle and nc_serve: calls `handler` with a
// request that `request` describes, and with `user`. The handler and the test double run on the
// calling thread. Calls that the handler starts by nc_call_start are answered in the order in
// which they were started. nc_process_call returns NC_INVALID_STATE.
//
// Returns NC_OK if the handler replied: `*answer` then belongs to the program, which frees it by
// nc_answer_free. Otherwise returns the status that the caller would get, and `*error` has the
// reason that the caller would get with `expose_errors = true`; `error` may be NULL. Returns
// NC_INVALID_ARGUMENT if `request` is not valid.
nc_status nc_test_run(const nc_test_request *request,
                      nc_handler handler,
                      void *user,
                      nc_answer **answer,
                      nc_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NIGHTCORE_H */
