/*
 * The functions that the bench measures. One program registers all of them; a container runs the
 * one that it was started for.
 */
#ifndef NIGHTCORE_BENCH_FUNCTIONS_H
#define NIGHTCORE_BENCH_FUNCTIONS_H

#include <nightcore.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Body "SIZE COUNT WARMUP TARGET": times COUNT internal calls to TARGET with SIZE bytes, and
 * replies with the samples.
 */
int32_t bench_caller(nc_request *request, void *user);
/* Replies with its body. */
int32_t bench_echo(nc_request *request, void *user);
/* Sends an empty reply. */
int32_t bench_empty(nc_request *request, void *user);
/* Makes three internal calls to Empty in sequence, and sends an empty reply. */
int32_t bench_three(nc_request *request, void *user);
/* Body "NAME REST": calls that function with the rest, and sends an empty reply. */
int32_t bench_relay(nc_request *request, void *user);
/*
 * Body PATH, of a named pipe: writes 0 to it and waits until the call is cancelled. Then writes the
 * time of its cancellation callback, in ns of CLOCK_MONOTONIC. Each number has 8 bytes.
 */
int32_t bench_notice(nc_request *request, void *user);
/* Sleeps for a millisecond. */
int32_t bench_sleeps(nc_request *request, void *user);
/* Computes for a millisecond of its thread's CPU time. */
int32_t bench_computes(nc_request *request, void *user);

#endif
