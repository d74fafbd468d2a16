/*
 * Functions that call each other in a chain. The last one reports the time at which it notices that
 * its call is cancelled.
 */
#define _POSIX_C_SOURCE 200809L
#include "functions.h"

#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The size of a buffer for a body: the names of the chain's functions, and the path. */
#define MAX_TEXT 512

static int text_of(nc_bytes body, char text[MAX_TEXT]) {
    if (body.len == 0 || body.len >= MAX_TEXT)
        return 0;
    memcpy(text, body.data, body.len);
    text[body.len] = '\0';
    return 1;
}

int32_t bench_relay(nc_request *request, void *user) {
    (void)user;
    char text[MAX_TEXT];
    char *rest = text_of(nc_request_body(request), text) ? strchr(text, ' ') : NULL;
    if (rest == NULL)
        return nc_fail(request, "the body must be function names and a path, separated by spaces");
    *rest++ = '\0';
    nc_bytes body = {(const uint8_t *)rest, strlen(rest)};
    nc_answer *answer = NULL;
    int32_t status = nc_call(request, text, &body, 1, &answer);
    nc_answer_free(answer);
    return status;
}

struct notice {
    sem_t noticed;
    uint64_t at_ns;
};

static void notice(void *user) {
    struct notice *notice = user;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    notice->at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    sem_post(&notice->noticed);
}

static int tell(int to, uint64_t number) {
    return write(to, &number, sizeof number) == (ssize_t)sizeof number;
}

int32_t bench_notice(nc_request *request, void *user) {
    (void)user;
    char path[MAX_TEXT];
    int to = text_of(nc_request_body(request), path) ? open(path, O_WRONLY) : -1;
    if (to < 0)
        return nc_fail(request, "the body must be the path of a named pipe");
    struct notice told = {.at_ns = 0};
    nc_watch *watch = NULL;
    sem_init(&told.noticed, 0, 0);
    int32_t status = nc_request_on_cancel(request, notice, &told, &watch);
    if (status == NC_OK && tell(to, 0)) {
        /* A signal may interrupt the wait. */
        while (sem_wait(&told.noticed) != 0) {
        }
        tell(to, told.at_ns);
    }
    nc_watch_free(watch);
    sem_destroy(&told.noticed);
    close(to);
    return status;
}
