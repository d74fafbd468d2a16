/*
 * The functions WorkA, WorkB and WorkC of tests/workers/c/counts.c over an event loop. The body is
 * "US [NAME US]...". A handler works for US microseconds, calls the function NAME with the rest of
 * the body, and works again. The answer to the body "report" is the counts of the handlers. A
 * handler works by waiting in poll(2), together with all other handlers.
 */
#include "work_counts.h"

#include <nightcore.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* This is more than any test has under way in one process. */
#define MAX_OPEN 1024

struct open_request {
    nc_request *request;
    uint64_t id;
    /* The time at which its work ends, in ns; 0 while it waits for an answer. */
    uint64_t until;
    unsigned long us;
    /* The function to call after the work, and its body. If name is NULL, the handler answers. */
    char *text, *name, *rest;
};

static struct open_request all[MAX_OPEN];

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void work_on(struct open_request *open) {
    work_begins();
    open->until = now_ns() + open->us * 1000;
}

static void end(struct open_request *open) {
    nc_request_free(open->request);
    free(open->text);
    memset(open, 0, sizeof *open);
}

static void begin(nc_request *request) {
    struct open_request *open = all;
    while (open->request != NULL) {
        if (++open == all + MAX_OPEN) abort();
    }
    nc_bytes body = nc_request_body(request);
    open->request = request;
    open->id = nc_request_number(request);
    open->text = malloc(body.len + 1);
    if (open->text == NULL) abort();
    memcpy(open->text, body.data, body.len);
    open->text[body.len] = '\0';
    if (strcmp(open->text, "report") == 0) {
        char text[REPORT_BYTES];
        nc_bytes said = {(const uint8_t *)text, work_report(text)};
        nc_reply(request, said);
        end(open);
        return;
    }
    char *rest;
    open->us = strtoul(open->text, &rest, 10);
    if (*rest == ' ') {
        open->name = rest + 1;
        open->rest = strchr(open->name, ' ');
        if (open->rest == NULL) abort();
        *open->rest++ = '\0';
    }
    work_on(open);
}

/* Goes on after the work of a request is done: makes the next call, or answers. */
static void go_on(struct open_request *open) {
    work_ends();
    open->until = 0;
    if (open->name == NULL) {
        nc_bytes worked = {(const uint8_t *)"worked", 6};
        nc_reply(open->request, worked);
        end(open);
        return;
    }
    nc_bytes body = {(const uint8_t *)open->rest, strlen(open->rest)};
    nc_error *error = NULL;
    int32_t status = nc_call_start(open->request, 1, open->name, &body, 1, NULL, &error);
    if (status == NC_OK) return;
    work_called(open->name, status);
    nc_pass_on(open->request, error);
    nc_error_free(error);
    end(open);
}

static struct open_request *find(uint64_t id) {
    for (struct open_request *open = all; open < all + MAX_OPEN; open++) {
        if (open->request != NULL && open->id == id) return open;
    }
    return NULL;
}

static void on_answer(const nc_event *event) {
    struct open_request *open = find(event->request_number);
    if (open == NULL || open->name == NULL || open->until != 0) abort();
    work_called(open->name, event->status);
    open->name = NULL;
    if (event->status == NC_OK) {
        work_on(open);
    } else {
        nc_pass_on(open->request, event->error);
        end(open);
    }
    nc_answer_free(event->answer);
    nc_error_free(event->error);
}

/* Ignores a cancellation and works on, as a handler on a thread does. */
static void on_cancelled(const nc_event *event) {
    if (find(event->request_number) == NULL) abort();
}

/*
 * Goes on with each request whose work has ended. Returns the time that poll may wait, in ms,
 * rounded up.
 */
static int end_work(void) {
    uint64_t now = now_ns(), next = UINT64_MAX;
    for (struct open_request *open = all; open < all + MAX_OPEN; open++) {
        if (open->request == NULL || open->until == 0) continue;
        if (open->until <= now) {
            go_on(open);
        } else if (open->until < next) {
            next = open->until;
        }
    }
    return next == UINT64_MAX ? -1 : (int)((next - now + 999999) / 1000000);
}

int main(void) {
    nc_worker *worker = NULL;
    nc_error *error = NULL;
    if (nc_worker_open(WORK_NAMES, WORK_FUNCTIONS, &worker, &error) != NC_OK) {
        fprintf(stderr, "%s\n", nc_error_message(error));
        nc_error_free(error);
        return 2;
    }
    struct pollfd readable = {.fd = nc_worker_fd(worker), .events = POLLIN};
    for (;;) {
        poll(&readable, 1, end_work());
        nc_event event = {.struct_size = sizeof event};
        while (nc_worker_next(worker, 0, &event) == NC_OK) {
            switch (event.kind) {
            case NC_EVENT_REQUEST: begin(event.request); break;
            case NC_EVENT_ANSWER: on_answer(&event); break;
            case NC_EVENT_CANCELLED: on_cancelled(&event); break;
            case NC_EVENT_ENDED: nc_worker_free(worker); return 0;
            default: break;
            }
        }
    }
}
