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

/* Returns a copy of the body that ends with a zero. The caller frees it. */
char *body_text(const nc_request *req);
/* Ends the text at its first newline and returns it; *rest is the text after the newline. */
char *first_line(char *text, char **rest);
nc_bytes bytes_of(const char *text);
/* Answers with a text that is formatted as by printf. */
int32_t reply_text(nc_request *req, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* answers.c: handlers that answer with their requests, with large bodies, or with errors. */

int32_t echo(nc_request *req, void *user);
int32_t upper(nc_request *req, void *user);
/* Answers "external", or "internal CALLER". */
int32_t origin(nc_request *req, void *user);
/* Answers each pair of metadata as a line "NAME=VALUE", then an empty line and the body. */
int32_t metadata(nc_request *req, void *user);
/*
 * Answers as the body says. The body has lines "NAME: VALUE", an empty line, and the answer's body.
 */
int32_t reply_as_told(nc_request *req, void *user);
/* Body N: answers N bytes, or "refused: STATUS" if that is refused. */
int32_t big(nc_request *req, void *user);
/* Does the same as big, with a buffer in shared memory. */
int32_t big_buffer(nc_request *req, void *user);
/*
 * At the path /ready, fails with 503 unless its working directory has a file "ready"; otherwise
 * answers as Echo does. At any other path, answers its process id.
 */
int32_t ready(nc_request *req, void *user);
/* Fails with its body as the message. */
int32_t fail(nc_request *req, void *user);
/* Fails with the body as a reason that callers must not see. */
int32_t fail_untold(nc_request *req, void *user);

/* calls.c: handlers that call other functions. */

/* Body "NAME\nBODY": calls that function, and passes on its answer or its error. */
int32_t call(nc_request *req, void *user);
/*
 * Does the same as call, but answers with the error: "STATUS\nMESSAGE\nCAUSE..." with a line for
 * each cause.
 */
int32_t try_call(nc_request *req, void *user);
/* Body "MS\nNAME\nBODY": does the same as try_call, with a timeout of MS milliseconds. */
int32_t call_within(nc_request *req, void *user);
/* Body "NAME\nN": calls that function with N bytes. Answers "same" if it returns the same bytes. */
int32_t call_big(nc_request *req, void *user);
/* Body N: calls `user` with N - 1, and so on down to 0. Answers the number of calls. */
int32_t chain(nc_request *req, void *user);
/* Body N: answers the Nth Fibonacci number, which it computes by calling itself. */
int32_t fib(nc_request *req, void *user);
/*
 * Body "NAME COUNT\nBODY": makes COUNT calls at once. Answers the number of calls that returned
 * exactly once.
 */
int32_t fan_out(nc_request *req, void *user);
/* Body N: calls Echo N times in sequence, with the bodies "probe-0000000001" and so on. */
int32_t probe(nc_request *req, void *user);
/* Calls Echo with 64 KiB made of the words "bigger-than-any-message." */
int32_t probe_big(nc_request *req, void *user);

/*
 * Body "NAME\nBODY": calls that function twice, and keeps the first answer during the second call.
 * Answers "same" if both answers are the same.
 */
int32_t keep_two(nc_request *req, void *user);

/* processes.c: handlers that use their process, its children and its output. */

/* Answers its process id. */
int32_t own_pid(nc_request *req, void *user);
int32_t variable(nc_request *req, void *user);
/*
 * Body "PATH\nMS": locks the file, writes its process id into it, and answers "alone" after MS
 * milliseconds. Fails if the file is locked already. When the process dies, it frees the lock late.
 */
int32_t hold_lock(nc_request *req, void *user);
int32_t crash(nc_request *req, void *user);
/* Body CODE: exits with this code. */
int32_t leave(nc_request *req, void *user);
/* Body "poison": aborts. Body MS: does the same as sleep_ms. */
int32_t delicate(nc_request *req, void *user);
/* Body "PATH\nBODY": if there is no such file, creates it and aborts; otherwise answers BODY. */
int32_t crash_once(nc_request *req, void *user);
int32_t loop_for_ever(nc_request *req, void *user);
/* Leaves behind a child that waits forever. Answers the child's process id. */
int32_t fork_child(nc_request *req, void *user);
int32_t allocate_mib(nc_request *req, void *user);
/* Prints its body. */
int32_t print(nc_request *req, void *user);
/* Body N: prints a line of N bytes, and then the line "after". */
int32_t print_long(nc_request *req, void *user);
/* Appends its body and a newline to the file that ORDER_FILE names. */
int32_t append(nc_request *req, void *user);

/* waits.c: handlers that take time. */

/*
 * Body MS: answers "slept MS" after MS milliseconds. If its call is cancelled first, prints
 * "cancelled" and fails at once.
 */
int32_t sleep_ms(nc_request *req, void *user);
/* Does the same as sleep_ms, but ignores cancellation. */
int32_t sleep_stubbornly(nc_request *req, void *user);
/* Body PATH: waits until the file exists, or until the call is cancelled. */
int32_t wait_for_file(nc_request *req, void *user);
/* Body MS: computes for MS milliseconds. */
int32_t compute(nc_request *req, void *user);

/* counts.c: handlers that count themselves. */

/*
 * Body "US" or "US NAME BODY": works for US microseconds, calls the function NAME, and works again.
 * Body "report": answers "most - N", where N is the largest number of handlers that have worked at
 * the same time. A line "NAME STATUS N" follows for each status of the calls of WorkA, WorkB and
 * WorkC.
 */
int32_t work(nc_request *req, void *user);

/* scribbles.c: a handler that overwrites the memory of its channels. */

/*
 * Body "SEED\nNAME": calls the function NAME, if one is named. Then, unless SEED is 0, overwrites
 * all direct channels of its process with random bytes, and calls the function again. Answers the
 * number of channels.
 */
int32_t scribbles(nc_request *req, void *user);

#endif
