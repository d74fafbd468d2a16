#define _POSIX_C_SOURCE 200809L
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Returns the number of milliseconds in the body. */
static uint64_t body_ms(const nc_request *req) {
    char *text = body_text(req);
    uint64_t ms = strtoull(text, NULL, 10);
    free(text);
    return ms;
}

static void rest(void) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
}

static int32_t cancelled(void) {
    puts("cancelled");
    fflush(stdout);
    return NC_CANCELLED;
}

int32_t sleep_ms(nc_request *req, void *user) {
    (void)user;
    uint64_t ms = body_ms(req), end = now_ns() + ms * 1000000u;
    while (now_ns() < end) {
        if (nc_request_cancelled(req)) return cancelled();
        rest();
    }
    return reply_text(req, "slept %llu", (unsigned long long)ms);
}

int32_t sleep_stubbornly(nc_request *req, void *user) {
    (void)user;
    uint64_t ms = body_ms(req), end = now_ns() + ms * 1000000u;
    while (now_ns() < end) rest();
    return reply_text(req, "slept %llu", (unsigned long long)ms);
}

int32_t wait_for_file(nc_request *req, void *user) {
    (void)user;
    char *path = body_text(req);
    int32_t rc = NC_OK;
    while (rc == NC_OK && access(path, F_OK) != 0) {
        if (nc_request_cancelled(req)) rc = cancelled();
        rest();
    }
    free(path);
    return rc == NC_OK ? reply_text(req, "found") : rc;
}

int32_t compute(nc_request *req, void *user) {
    (void)user;
    uint64_t ms = body_ms(req), end = now_ns() + ms * 1000000u;
    while (now_ns() < end) {
    }
    return reply_text(req, "computed %llu", (unsigned long long)ms);
}
