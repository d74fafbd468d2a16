/*
 * Nightcore for C: handlers of functions that call each other. See docs/c.md, and docs/ABI.md for what holds
 * for every function: ownership, threads, errors, versions.
 *
 * Generated from bindings/c by `make bindings`. Do not edit.
 *
 * In short: nc_bytes are borrowed. What is given through a pointer to a pointer belongs to the program, until
 * the function ending in _free, which takes NULL. A function that answers an int32_t answers a status, NC_OK
 * if it went well, unless it says otherwise. After a fork the child gets NC_FORKED.
 */

#ifndef NIGHTCORE_H
#define NIGHTCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The nc_bytes of a string literal, without its final zero.
#ifdef __cplusplus
#define NC_LITERAL(text) (nc_bytes{reinterpret_cast<const uint8_t *>("" text), sizeof(text) - 1})
#else
#define NC_LITERAL(text) ((nc_bytes){(const uint8_t *)("" text), sizeof(text) - 1})
#endif

// The functions this header declares. It rises by one whenever functions are added. What is there
// is never changed under the same name of the library (`libnightcore.so.0`).
#define NC_ABI_VERSION 10

// The longest name of a function, in bytes.
#define NC_MAX_NAME_BYTES 63

// The most bytes that the metadata of one message take when they are encoded.
#define NC_MAX_METADATA_BYTES 32768

// The most calls that one worker may have under way at once.
#define NC_MAX_OPEN_CALLS 1024

// The smallest `struct_size` of nc_call_options that is accepted: that of its first version.
#define NC_CALL_OPTIONS_MIN_SIZE 40

// A call to run: `request` is the host's, to be freed by nc_request_free; `request_id` is its
// number.
#define NC_EVENT_REQUEST 1

// A call that the request `request_id` began by nc_call_start with `tag` has ended: `status` says
// how; `answer`, if it is NC_OK, else `error`, is the host's to free.
#define NC_EVENT_ANSWER 2

// Nobody waits for the answer to the request `request_id` any more: `status` is
// NC_DEADLINE_EXCEEDED if its deadline has passed, NC_CANCELLED if its caller has left.
#define NC_EVENT_CANCELLED 3

// No more calls come: end the process.
#define NC_EVENT_ENDED 4

// The smallest `struct_size` of nc_event that is accepted: that of its first version.
#define NC_EVENT_MIN_SIZE 56

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

// The answer to an internal call. Opaque. Belongs to who was given it, until nc_answer_free, also
// after the request has ended; may be used from any thread. What it hands out is valid as long as
// the answer.
typedef struct nc_answer nc_answer;

// Memory that the engine can read: an answer that is made in it is sent without a copy. Opaque.
// Belongs to who was given it, until nc_reply_buffer or nc_buffer_free.
typedef struct nc_buffer nc_buffer;

// Why a call or an operation failed. Opaque; given by functions that take an `nc_error **`, which
// may be NULL. Belongs to who was given it, until nc_error_free; may be used from any thread.
typedef struct nc_error nc_error;

// A call that a function of this process runs. Opaque.
//
// A handler is lent one, which is valid until the handler returns; it answers and calls on that
// thread only, while the functions that answer no status may be used from any. nc_worker_next
// gives one, which is valid until nc_request_free and may be used from any thread.
//
// What a request hands out (body, names, metadata) is valid as long as the request.
//
// The memory of an ended request is not given back to the system but used for a later one: so a
// handle that is used too late is found out instead of leading anywhere.
typedef struct nc_request nc_request;

// Says that code is to run when a request is cancelled. Opaque.
typedef struct nc_watch nc_watch;

// A worker whose calls run in an event loop of the host's, many at once. Opaque.
typedef struct nc_worker nc_worker;

// A function's code. It runs on a worker thread, on several at once, and answers by nc_reply or
// one of its kin; an answer of NC_OK without a reply is an empty answer. Any other status fails
// the call:
//
// - the status of the last internal call of this request that failed: that error is passed on,
//   with its causes;
// - another status below NC_INVALID_ARGUMENT: the call fails with it;
// - anything else: FUNCTION_FAILED.
//
// No exception may leave it, and its thread must not end in it: pthread_exit, and a pthread_cancel
// of the thread, abort the process. `req` is valid until it returns, and belongs to the thread it
// runs on.
typedef int32_t (*nc_handler)(nc_request *req, void *user);

// Borrowed bytes: they belong to someone else, and are not terminated by a zero. `data` may be
// NULL if `len` is 0.
typedef struct {
    // The first byte.
    const uint8_t *data;
    // How many there are.
    size_t len;
} nc_bytes;

// One pair of metadata. Names are 1 to 255 bytes of visible ASCII, and are sent in lower case; the
// name ":status" in an answer sets its HTTP status. A malformed name is NC_INVALID_ARGUMENT, more
// than 32 KiB in all NC_PAYLOAD_TOO_LARGE.
typedef struct {
    // The name.
    nc_bytes name;
    // The value.
    nc_bytes value;
} nc_pair;

// Code that runs when a request is cancelled. It must not throw, and should be short: others wait
// for it.
typedef void (*nc_on_cancel)(void *user);

// Options of an internal call. Set the whole struct to zero, then `struct_size`, then the fields
// that are wanted.
typedef struct {
    // sizeof(nc_call_options). The program's header may be older or newer than the library: a
    // field that the program does not know is zero; one that the library does not know must be.
    size_t struct_size;
    // Ends the call if it takes longer; 0 for no limit but the request's own deadline, which
    // always holds.
    uint64_t timeout_ns;
    // Metadata for the callee.
    const nc_pair *metadata;
    // How many pairs of it.
    size_t metadata_count;
    // No flags are known: 0.
    uint32_t flags;
} nc_call_options;

// Takes the end of a call of nc_process_call_start: its status, and the answer or the reason why
// there is none, which is then the program's, as nc_call_with gives it. It must not throw, and
// should be short: the ends of other calls wait for it.
typedef void (*nc_on_answer)(void *user, int32_t status, nc_answer *answer, nc_error *error);

// What happened. The host sets `struct_size`, nc_worker_next sets all other fields. A field that
// an event does not use is 0 or NULL.
typedef struct {
    // sizeof(nc_event). The host's header may be older or newer than the library: the library
    // writes only fields that the host knows, and sets those that it does not know itself to zero.
    size_t struct_size;
    // One of NC_EVENT_*. Pass over one that is not known.
    uint32_t kind;
    // NC_EVENT_ANSWER: how the call ended. NC_EVENT_CANCELLED: why.
    int32_t status;
    // NC_EVENT_REQUEST: the request.
    nc_request *request;
    // The number of the request that the event is about.
    uint64_t request_id;
    // NC_EVENT_ANSWER: the tag of the call.
    uint64_t tag;
    // NC_EVENT_ANSWER: the answer.
    nc_answer *answer;
    // NC_EVENT_ANSWER: why there is none.
    nc_error *error;
} nc_event;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The NC_ABI_VERSION of the library that is loaded. It has all that this header declares if it is
// at least the header's NC_ABI_VERSION.
uint32_t nc_abi_version(void);

// The version of Nightcore that the loaded library belongs to, such as "0.1.0". Valid for good.
const char *nc_version(void);

// The name of a status, such as "NOT_FOUND"; "UNKNOWN" for a number that is none. Valid for good.
const char *nc_status_name(int32_t status);

// Registers the handler of a function. `name` is copied. `user` is handed to the handler and must
// stay valid while functions are served. Call it before nc_serve, from any thread.
//
// NC_INVALID_ARGUMENT: the name is not one, or has a handler already. The reason is also on
// standard error.
int32_t nc_handle(const char *name, nc_handler handler, void *user);

// Serves until the engine ends this process. The calling thread becomes the launching thread;
// handlers run on threads that the library makes when the engine asks for them.
//
// Answers the exit code for main, not a status: 0 for a normal end; 1 if the engine went away or
// cannot be reached; 2 if the process was started wrongly or refused, such as when it has no
// handler for its function. When it is not 0 the reason has been printed to standard error.
int32_t nc_serve(void);

// The body. Empty too if the request has ended.
nc_bytes nc_request_body(const nc_request *req);

// The name of the function that was called, which is the one this process runs.
nc_bytes nc_request_function(const nc_request *req);

// Whether another function made the call; if not, it came in by the gateway.
bool nc_request_is_internal(const nc_request *req);

// The name of the function that made the call; empty if it came in by the gateway.
nc_bytes nc_request_caller(const nc_request *req);

// The first value of the metadata with this name, to `value`.
//
// NC_NOT_FOUND: there is none; `value` is then empty.
int32_t nc_request_metadata(const nc_request *req, const char *name, nc_bytes *value);

// How many pairs of metadata there are.
size_t nc_request_metadata_count(const nc_request *req);

// The pair of metadata at `index`, in their order, to `pair`.
//
// NC_NOT_FOUND: there are not as many.
int32_t nc_request_metadata_at(const nc_request *req, size_t index, nc_pair *pair);

// Nanoseconds until the deadline of the call: 0 when it has passed, UINT64_MAX if there is none.
uint64_t nc_request_time_left_ns(const nc_request *req);

// Whether nobody waits for the answer any more: the caller has left or the deadline has passed. A
// load of a word, cheap enough for a loop. True too if the request has ended.
bool nc_request_cancelled(const nc_request *req);

// Why nobody waits for the answer any more: NC_DEADLINE_EXCEEDED if the deadline has passed,
// NC_CANCELLED if the caller has left, NC_OK if somebody still waits. As cheap as
// nc_request_cancelled, and from any thread.
//
// NC_INVALID_STATE: the request has ended.
int32_t nc_request_cancel_reason(const nc_request *req);

// The number of a request of nc_worker_next, by which later events name it; 0 for a handler's.
uint64_t nc_request_id(const nc_request *req);

// The id of the call, 16 hexadecimal digits, which the calls that it makes have as well, and all
// below: that of the call from outside with which it began. Its client has it in the header
// X-Nightcore-Call. Empty if the request has ended.
const char *nc_request_call_id(const nc_request *req);

// Writes a text to standard error, from where it comes to the function's log, each of its lines
// with the id of the call. It may be used from any thread. NC_INVALID_STATE: the request has
// ended.
int32_t nc_log(const nc_request *req, const char *text);

// Ends a request of nc_worker_next; takes NULL. If it was not answered its call fails, with the
// reason why its last answer was refused, if one was. A handler's request ends by itself and is
// left alone.
void nc_request_free(nc_request *req);

// Has `run` called with `user` when nobody waits for the answer to a handler's request any more:
// the caller has left or the deadline has passed. On the handler's thread only. It is called once,
// some milliseconds later, on a thread of the library's that calls all such code of the process,
// one after the other; or here and now if the request is cancelled already. So it may run while
// the handler does, and may use of the request what any thread may.
//
// The watch, in `watch`, is the caller's, to be freed by nc_watch_free before what `user` points
// to goes. It ends in any case when the handler returns. While any is there the library looks for
// cancellations a thousand times a second; nothing does otherwise.
//
// NC_INVALID_STATE: the request has ended, or is one of nc_worker_next, which is told by
// NC_EVENT_CANCELLED. NC_OVERLOADED: the thread cannot be made.
int32_t nc_request_on_cancel(nc_request *req, nc_on_cancel run, void *user, nc_watch **watch);

// Frees a watch; takes NULL. From here on its code does not run any more: if it runs now on
// another thread, this waits for its end. From any thread, also from that code itself.
void nc_watch_free(nc_watch *watch);

// Makes an error, for nc_pass_on: of the function `function`, or of the host's own if that is
// empty or NULL. `message` may be NULL; what is not UTF-8 in it is replaced. The texts are copied;
// the error, in `error`, is the caller's.
//
// NC_INVALID_ARGUMENT: no call ends with this status, or `function` is not UTF-8.
int32_t nc_error_new(int32_t status, const char *function, const char *message, nc_error **error);

// Adds a cause behind those that an error has; takes what nc_error_new takes. For one thread at a
// time.
int32_t nc_error_add_cause(nc_error *error, int32_t status, const char *function, const char *message);

// The status. NC_OK for NULL.
int32_t nc_error_status(const nc_error *error);

// What happened, for a person. Valid as long as the error; empty for NULL.
const char *nc_error_message(const nc_error *error);

// The name of the function whose call failed; empty if the error is the library's own. Valid as
// long as the error.
const char *nc_error_function(const nc_error *error);

// How many errors of functions beneath led to this one.
size_t nc_error_cause_count(const nc_error *error);

// The cause at `index`, the nearest first; it has a function, a status and a message, and no
// causes of its own. Borrowed: valid as long as the error, and not to be freed. NULL if there are
// not as many.
const nc_error *nc_error_cause_at(const nc_error *error, size_t index);

// Frees an error; takes NULL.
void nc_error_free(nc_error *error);

// The body.
nc_bytes nc_answer_body(const nc_answer *answer);

// The HTTP status that the function chose; 200 if it chose none, 0 for NULL. An answer with any
// status is an answer: the call has gone well.
uint32_t nc_answer_status(const nc_answer *answer);

// The first value of the metadata with this name, to `value`.
//
// NC_NOT_FOUND: there is none; `value` is then empty.
int32_t nc_answer_metadata(const nc_answer *answer, const char *name, nc_bytes *value);

// How many pairs of metadata there are.
size_t nc_answer_metadata_count(const nc_answer *answer);

// The pair of metadata at `index`, in their order, to `pair`.
//
// NC_NOT_FOUND: there are not as many.
int32_t nc_answer_metadata_at(const nc_answer *answer, size_t index, nc_pair *pair);

// Frees an answer; takes NULL.
void nc_answer_free(nc_answer *answer);

// Calls a function of this name with a body of `count` parts, one after the other, and waits for
// its answer. The wait lends the worker's place to another call. On a handler's thread only.
//
// `parts` may be NULL if `count` is 0; what they hold has been copied or sent when the function
// returns. NC_OK: `answer` is the caller's, to be freed by nc_answer_free. Otherwise `answer` is
// NULL, and a handler that returns the status passes the error on.
//
// NC_NOT_FOUND: there is no function of this name, or no function can have it. NC_INVALID_STATE:
// the request has been answered or has ended, or is one of nc_worker_next.
int32_t nc_call(nc_request *req, const char *name, const nc_bytes *parts, size_t count, nc_answer **answer);

// As nc_call, with options, which may be NULL, and the reason in `error`, which may be NULL. An
// error is the caller's, to be freed by nc_error_free; without one `*error` is set to NULL.
int32_t nc_call_with(nc_request *req,
                     const char *name,
                     const nc_bytes *parts,
                     size_t count,
                     const nc_call_options *options,
                     nc_answer **answer,
                     nc_error **error);

// Calls a function without waiting. Its answer comes with this tag, which the caller chooses: by
// nc_next_answer to a handler, by nc_worker_next to an event loop. Any number of calls, up to
// 1024, may be under way. Answering the request cancels those that are.
//
// `options` and `error` may be NULL, as for nc_call_with. NC_OK: the call is under way. Otherwise
// no answer will come.
int32_t nc_call_start(nc_request *req,
                      uint64_t tag,
                      const char *name,
                      const nc_bytes *parts,
                      size_t count,
                      const nc_call_options *options,
                      nc_error **error);

// Says that the answer to a call of an event loop, which nc_call_start began with this tag, is not
// wanted any more. It and all calls below it are cancelled; its event still comes, with
// NC_CANCELLED unless it has just ended otherwise. A call that has ended already is left alone.
//
// NC_INVALID_STATE: the request has been answered or has ended, or is a handler's.
int32_t nc_call_cancel(nc_request *req, uint64_t tag);

// Waits for the next answer to a call that nc_call_start began, in the order they arrive. On a
// handler's thread only. `timeout_ns`: how long to wait; 0 only looks, UINT64_MAX waits for good,
// and lends the worker's place meanwhile.
//
// Answers the status of that call: NC_OK with its answer in `answer`, or how it failed, with the
// reason in `error`, which may be NULL; `tag` is the call's. Statuses from NC_INVALID_ARGUMENT on
// are about the waiting itself, and leave `tag` alone: NC_AGAIN: the time has passed.
// NC_INVALID_STATE: no call is under way.
int32_t nc_next_answer(nc_request *req,
                       uint64_t timeout_ns,
                       uint64_t *tag,
                       nc_answer **answer,
                       nc_error **error);

// As nc_call_with, outside of any request: from any thread of a process that serves, also while
// none of its handlers runs. The call has no request above it, so the end of a request does not
// cancel it. Its deadline is the function's own timeout, or sooner by `options`.
//
// Such calls can be made until the process ends, also after nc_serve has returned; with an event
// loop until nc_worker_free, or longer if there was one before. The first one makes a channel, and
// a thread of the library's, nc-caller.
//
// NC_INVALID_STATE: the process does not serve, or this is the thread of nc_on_answer, which must
// not wait. NC_OVERLOADED: 1024 such calls are under way. NC_UNAVAILABLE: the engine has gone, or
// is too old.
int32_t nc_process_call(const char *name,
                        const nc_bytes *parts,
                        size_t count,
                        const nc_call_options *options,
                        nc_answer **answer,
                        nc_error **error);

// As nc_process_call, without waiting: `done` is called with `user` when the call has ended, once,
// on the thread nc-caller, maybe before this function returns. `call`, which may be NULL, is given
// the call's number, for nc_process_call_cancel.
//
// NC_OK: the call is under way. Otherwise `done` is not called.
int32_t nc_process_call_start(const char *name,
                              const nc_bytes *parts,
                              size_t count,
                              const nc_call_options *options,
                              nc_on_answer done,
                              void *user,
                              uint64_t *call,
                              nc_error **error);

// Says that the answer to a call of nc_process_call_start is not wanted any more. It and all calls
// below it are cancelled; it still ends, with NC_CANCELLED unless it has just ended otherwise. A
// call that has ended already is left alone. From any thread.
int32_t nc_process_call_cancel(uint64_t call);

// Answers with this body, which has been copied when the function returns. A request is answered
// once; calls it has under way are cancelled. To an event loop the answer goes at once, from a
// handler when it returns.
//
// NC_PAYLOAD_TOO_LARGE: over the limit for bodies; the request can still be answered otherwise.
// NC_INVALID_STATE: it has been answered or has ended.
int32_t nc_reply(nc_request *req, nc_bytes body);

// As nc_reply, with a body of `count` parts, one after the other, and metadata. A pair named
// ":status" sets the HTTP status, such as "404". Arrays may be NULL if their count is 0.
int32_t nc_reply_with(nc_request *req,
                      const nc_bytes *parts,
                      size_t count,
                      const nc_pair *metadata,
                      size_t metadata_count);

// As nc_reply_with, with the first `len` bytes of a buffer as the body, which is not copied. The
// buffer is taken in any case, whatever the function answers.
int32_t nc_reply_buffer(nc_request *req,
                        nc_buffer *buffer,
                        size_t len,
                        const nc_pair *metadata,
                        size_t metadata_count);

// Answers with the error FUNCTION_FAILED and this message, of which callers see up to 512 bytes;
// the function's log has it, too, in a line with the id of the call. For reasons that callers may
// know: see nc_fail_unexpectedly for others. NC_OK: the request is answered, and what the handler
// then returns says nothing more, so `return nc_fail(req, "no such user");` is fine.
int32_t nc_fail(nc_request *req, const char *message);

// Answers with the error FUNCTION_FAILED for a reason that is not meant for callers, such as the
// text of an exception: `message` goes to the function's log, and callers see the id by which it
// is found there. A function with `expose_errors = true` tells it to callers, as nc_fail does.
// Otherwise as nc_fail.
int32_t nc_fail_unexpectedly(nc_request *req, const char *message);

// Answers with an error of an internal call, as when a handler returns its status: callers see
// that this function failed, and `error` and its causes as the reason. `error` stays the caller's.
int32_t nc_pass_on(nc_request *req, const nc_error *error);

// Takes room for a body of up to `capacity` bytes, to `buffer`. Worth it from about 64 KiB on.
// The memory is not initialized.
//
// NC_PAYLOAD_TOO_LARGE: over the limit for bodies. NC_OVERLOADED: this process has no more memory
// to share.
int32_t nc_buffer_new(nc_request *req, size_t capacity, nc_buffer **buffer);

// The memory to fill; valid as long as the buffer. NULL for NULL.
uint8_t *nc_buffer_data(nc_buffer *buffer);

// How many bytes it has; 0 for NULL.
size_t nc_buffer_capacity(const nc_buffer *buffer);

// Frees a buffer that is not to be sent; takes NULL.
void nc_buffer_free(nc_buffer *buffer);

// Connects to the engine, for a host with an event loop of its own; use either this or nc_serve.
// `names`: the `count` functions that this program has handlers for. The worker, in `worker`, is
// the caller's, to be freed by nc_worker_free. `error` may be NULL.
//
// NC_NOT_STARTED, NC_REFUSED, NC_INVALID_ARGUMENT, NC_INVALID_STATE: started wrongly: print the
// message and exit with
// 2. NC_UNAVAILABLE, NC_ENDED: the engine is gone: exit with 1.
int32_t nc_worker_open(const char *const *names, size_t count, nc_worker **worker, nc_error **error);

// The descriptor to wait on; it belongs to the library. When it is readable call nc_worker_next
// with a timeout of 0 until it answers NC_AGAIN. Never read it. -1 for NULL.
int nc_worker_fd(const nc_worker *worker);

// The name of the function to run. Valid as long as the worker.
nc_bytes nc_worker_function(const nc_worker *worker);

// The next event, to `event`, whose `struct_size` is set. `timeout_ns`: how long to wait; with 0
// it never sleeps, UINT64_MAX waits for good. For one thread at a time.
//
// When no request can go on without a message, as each waits for the answer to a call or there is
// none, it may look for one first, for at most 25 us and at times not at all: see nc_worker_looks.
//
// NC_AGAIN: no event now: the time has passed, or a signal came.
int32_t nc_worker_next(nc_worker *worker, uint64_t timeout_ns, nc_event *event);

// Takes all that has come: up to `max` events, to `events`, and their number to `count`. If that
// is less than `max` nothing is left. The `struct_size` of the first is set; it holds for all.
// It never sleeps, and may look as nc_worker_next does. For one thread at a time, which calls
// nc_worker_next as well whenever nc_worker_fd is readable.
//
// NC_AGAIN: no event now.
int32_t nc_worker_next_many(nc_worker *worker, nc_event *events, size_t max, size_t *count);

// A descriptor for a thread that waits for messages only, and not for longer than some
// milliseconds: by epoll_wait at this descriptor itself, after nc_worker_next_many has found
// nothing. While a thread waits so a message wakes it, and not those that wait at nc_worker_fd.
// It belongs to the library. -1 for NULL.
int nc_worker_message_fd(const nc_worker *worker);

// 1: nc_worker_next looks, as the channel of this process is of rings. Then a host gains by
// calling it with a timeout of 0 once more before it waits, when its handlers have made their
// calls and answered: what comes meanwhile need not wake it. It may as well only wait at the
// descriptor. 0: it does not, or `worker` is NULL.
int32_t nc_worker_looks(const nc_worker *worker);

// Frees a worker; takes NULL. Requests and answers that it gave stay valid until they are freed.
void nc_worker_free(nc_worker *worker);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NIGHTCORE_H */
