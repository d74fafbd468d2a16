#include "worker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALLEES 3
#define STATUSES 32

static const char *const NAMES[CALLEES] = {"WorkA", "WorkB", "WorkC"};
static atomic_int running, most;
static atomic_ulong ended[CALLEES][STATUSES];

static void work_for(unsigned long us) {
    int now = atomic_fetch_add(&running, 1) + 1, before = atomic_load(&most);
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now)) {
    }
    struct timespec pause = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (us > 0) nanosleep(&pause, NULL);
    atomic_fetch_sub(&running, 1);
}

static int32_t report(nc_request *req) {
    char text[CALLEES * STATUSES * 48];
    size_t length = (size_t)snprintf(text, sizeof text, "most - %d\n", atomic_load(&most));
    for (int callee = 0; callee < CALLEES; callee++) {
        for (int32_t status = 0; status < STATUSES; status++) {
            unsigned long count = atomic_load(&ended[callee][status]);
            if (count == 0) continue;
            length += (size_t)snprintf(text + length, sizeof text - length, "%s %s %lu\n",
                                       NAMES[callee], nc_status_name(status), count);
        }
    }
    return reply_text(req, "%s", text);
}

static void count(const char *name, int32_t status) {
    for (int callee = 0; callee < CALLEES; callee++) {
        if (strcmp(name, NAMES[callee]) == 0 && status >= 0 && status < STATUSES)
            atomic_fetch_add(&ended[callee][status], 1);
    }
}

int32_t work(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    if (strcmp(text, "report") == 0) {
        free(text);
        return report(req);
    }
    unsigned long us = strtoul(text, &rest, 10);
    work_for(us);
    int32_t rc = NC_OK;
    if (*rest == ' ') {
        char *name = rest + 1, *end = strchr(name, ' ');
        if (end == NULL) abort();
        *end = '\0';
        nc_bytes body = bytes_of(end + 1);
        nc_answer *answer = NULL;
        rc = nc_call(req, name, &body, 1, &answer);
        nc_answer_free(answer);
        count(name, rc);
        work_for(us);
    }
    free(text);
    return rc == NC_OK ? reply_text(req, "worked") : rc;
}
