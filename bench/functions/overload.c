/*
 * The functions of the overload measurement. One sleeps for a millisecond, and the other computes
 * for a millisecond.
 */
#define _POSIX_C_SOURCE 200809L
#include "functions.h"

#include <time.h>

#define CALL_NS 1000000L

static int32_t answer_nothing(nc_request *request) {
    nc_bytes nothing = {NULL, 0};
    return nc_reply(request, nothing);
}

int32_t bench_sleeps(nc_request *request, void *user) {
    (void)user;
    struct timespec time = {0, CALL_NS};
    nanosleep(&time, NULL);
    return answer_nothing(request);
}

static long long cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

int32_t bench_computes(nc_request *request, void *user) {
    (void)user;
    long long end = cpu_ns() + CALL_NS;
    while (cpu_ns() < end) {
    }
    return answer_nothing(request);
}
