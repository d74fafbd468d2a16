#include "work_counts.h"
#include "worker.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void work_for(unsigned long us) {
    work_begins();
    struct timespec pause = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (us > 0) nanosleep(&pause, NULL);
    work_ends();
}

static int32_t report(nc_request *req) {
    char text[REPORT_BYTES];
    work_report(text);
    return reply_text(req, "%s", text);
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
        work_called(name, rc);
        work_for(us);
    }
    free(text);
    return rc == NC_OK ? reply_text(req, "worked") : rc;
}
