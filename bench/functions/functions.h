/* The functions that the bench measures. One program registers all; a container runs the one it was started for. */
#ifndef NIGHTCORE_BENCH_FUNCTIONS_H
#define NIGHTCORE_BENCH_FUNCTIONS_H

#include <nightcore.h>
#include <stddef.h>
#include <stdint.h>

/* Body "SIZE COUNT WARMUP TARGET": times COUNT internal calls to TARGET with SIZE bytes, and answers the samples. */
int32_t bench_caller(nc_request *request, void *user);
/* Answers its body. */
int32_t bench_echo(nc_request *request, void *user);
/* Answers nothing. */
int32_t bench_empty(nc_request *request, void *user);
/* Makes three internal calls to Empty, one after the other, and answers nothing. */
int32_t bench_three(nc_request *request, void *user);

#endif
