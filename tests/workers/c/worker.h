/*
 * The handlers of the test worker, by subject. A container runs the handler that has the name of
 * its function.
 */
#ifndef NIGHTCORE_TEST_WORKER_H
#define NIGHTCORE_TEST_WORKER_H

#include <nightcore.h>
#include <stddef.h>
#include <stdint.h>

/* text.c: bodies as text. */

/* A copy of the body, ended by a zero. To be freed. */
char *body_text(const nc_request *req);
/* Ends the text at its first newline and returns it; *rest is the text after the newline. */
char *first_line(char *text, char **rest);
nc_bytes bytes_of(const char *text);
/* Answers with a text made as by printf. */
int32_t reply_text(nc_request *req, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* answers.c: what comes in and what goes out. */

int32_t echo(nc_request *req, void *user);
int32_t upper(nc_request *req, void *user);
/* "external", or "internal CALLER". */
int32_t origin(nc_request *req, void *user);
/* Every pair of metadata, "NAME=VALUE" a line, then an empty line and the body. */
int32_t metadata(nc_request *req, void *user);
/* Answers as the body says: lines "NAME: VALUE", an empty line, and the body of the answer. */
int32_t reply_as_told(nc_request *req, void *user);
/* Body N: answers N bytes; if that is refused, "refused: STATUS". */
int32_t big(nc_request *req, void *user);
/* As big, in a buffer of shared memory. */
int32_t big_buffer(nc_request *req, void *user);
/* At the path /ready: fails with 503 unless there is a file "ready" in its folder, and answers what
   Echo answers; elsewhere its process. */
int32_t ready(nc_request *req, void *user);
/* Fails with its body as the message. */
int32_t fail(nc_request *req, void *user);
/* Fails with the body as a reason that is not for callers. */
int32_t fail_untold(nc_request *req, void *user);

/* calls.c: calls of other functions. */

/* Body "NAME\nBODY": calls that function, and passes its answer or its error on. */
int32_t call(nc_request *req, void *user);
/* As call, with an error as the answer: "STATUS\nMESSAGE\nCAUSE..." with a line for each cause. */
int32_t try_call(nc_request *req, void *user);
/* Body "MS\nNAME\nBODY": as try_call, with a timeout. */
int32_t call_within(nc_request *req, void *user);
/* Body "NAME\nN": calls that function with N bytes; answers "same" if it answers the same. */
int32_t call_big(nc_request *req, void *user);
/* Body N: calls `user` with N - 1, until it is 0; answers how many were called. */
int32_t chain(nc_request *req, void *user);
/* Body N: the Nth Fibonacci number, by calls of itself. */
int32_t fib(nc_request *req, void *user);
/*
 * Body "NAME COUNT\nBODY": makes that many calls at once, and answers how many came back, each
 * once.
 */
int32_t fan_out(nc_request *req, void *user);
/* Body N: N calls of Echo, one after the other, with bodies "probe-0000000001", ... */
int32_t probe(nc_request *req, void *user);
/* Calls Echo with 64 KiB made of the words "bigger-than-any-message." */
int32_t probe_big(nc_request *req, void *user);

/*
 * Body "NAME\nBODY": calls that function twice, and keeps the first answer meanwhile. Answers
 * "same" if both are the same.
 */
int32_t keep_two(nc_request *req, void *user);

/* processes.c: what a process may do. */

/* Its process. */
int32_t own_pid(nc_request *req, void *user);
int32_t variable(nc_request *req, void *user);
/*
 * Body PATH\nMS: locks the file, writes its pid into it, and answers "alone" after that time, or
 * fails if the file is locked. When the process dies it frees the lock late.
 */
int32_t hold_lock(nc_request *req, void *user);
int32_t crash(nc_request *req, void *user);
/* Body CODE. */
int32_t leave(nc_request *req, void *user);
/* Body "poison": aborts; body MS: as sleep_ms. */
int32_t delicate(nc_request *req, void *user);
/* Body "PATH\nBODY": aborts if there is no such file, which it makes; else answers BODY. */
int32_t crash_once(nc_request *req, void *user);
int32_t loop_for_ever(nc_request *req, void *user);
/* Leaves a child behind that waits for ever; answers its process. */
int32_t fork_child(nc_request *req, void *user);
int32_t allocate_mib(nc_request *req, void *user);
/* Prints its body. */
int32_t print(nc_request *req, void *user);
/* Body N: prints a line of that many bytes, and one that says "after". */
int32_t print_long(nc_request *req, void *user);
/* Appends its body and a newline to the file that ORDER_FILE names. */
int32_t append(nc_request *req, void *user);

/* waits.c: what takes time. */

/*
 * Body MS: answers "slept MS" after that time, or prints "cancelled" and fails as soon as its call
 * is cancelled.
 */
int32_t sleep_ms(nc_request *req, void *user);
/* As sleep_ms, and does not look whether anybody waits. */
int32_t sleep_stubbornly(nc_request *req, void *user);
/* Body PATH: waits until there is such a file, or until nobody waits for the answer. */
int32_t wait_for_file(nc_request *req, void *user);
/* Body MS: computes for that long. */
int32_t compute(nc_request *req, void *user);

/* counts.c: handlers that count themselves. */

/*
 * Body "US" or "US NAME BODY": works for that long, calls that function, and works again. Body
 * "report": answers "most - N" with the most handlers that have worked at the same time, and then
 * how their calls have ended, a line "NAME STATUS N" for each of WorkA, WorkB, WorkC and each
 * status.
 */
int32_t work(nc_request *req, void *user);

/* scribbles.c: writes nonsense where it may write. */

/*
 * Body "SEED\nNAME": calls that function, if one is named, writes nonsense over all direct channels
 * of its process, unless SEED is 0, and calls it again. Answers how many channels there were.
 */
int32_t scribbles(nc_request *req, void *user);

#endif
