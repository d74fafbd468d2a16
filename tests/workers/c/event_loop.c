/*
 * A worker with an event loop of its own, here poll(2). Echo answers its body. Call has the body
 * "NAME\nBODY" and answers as that function does. Give does the same, but cancels the call at once.
 * Wait does not answer until its call is cancelled, and then prints that.
 */
#include <nightcore.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of requests that an event loop gets at once by default. */
#define MAX_OPEN 1024

/* The unanswered requests. */
static nc_request *open_requests[MAX_OPEN];

static void keep(nc_request *req) {
    for (size_t i = 0; i < MAX_OPEN; i++) {
        if (open_requests[i] == NULL) {
            open_requests[i] = req;
            return;
        }
    }
    abort();
}

static nc_request *take(uint64_t id) {
    for (size_t i = 0; i < MAX_OPEN; i++) {
        nc_request *req = open_requests[i];
        if (req != NULL && nc_request_number(req) == id) {
            open_requests[i] = NULL;
            return req;
        }
    }
    abort();
}

static void begin_call(nc_request *req, int gives_up) {
    nc_bytes body = nc_request_body(req);
    const uint8_t *newline = body.len == 0 ? NULL : memchr(body.data, '\n', body.len);
    char name[64] = "";
    size_t length = newline == NULL ? 0 : (size_t)(newline - body.data);
    if (length == 0 || length >= sizeof name) {
        nc_fail(req, "the body must be NAME, a newline, and a body");
        nc_request_free(req);
        return;
    }
    memcpy(name, body.data, length);
    nc_bytes rest = {newline + 1, body.len - length - 1};
    nc_error *error = NULL;
    if (nc_call_start(req, 7, name, &rest, 1, NULL, &error) == NC_OK) {
        if (gives_up && (nc_call_cancel(req, 8) != NC_OK || nc_call_cancel(req, 7) != NC_OK))
            abort();
        keep(req);
        return;
    }
    nc_pass_on(req, error);
    nc_error_free(error);
    nc_request_free(req);
}

static void on_request(nc_bytes function, nc_request *req) {
    if (function.len == 4 && memcmp(function.data, "Echo", 4) == 0) {
        nc_reply(req, nc_request_body(req));
        nc_request_free(req);
    } else if (memcmp(function.data, "Call", 4) == 0) {
        begin_call(req, 0);
    } else if (memcmp(function.data, "Give", 4) == 0) {
        begin_call(req, 1);
    } else {
        keep(req);
    }
}

static void on_answer(const nc_event *event) {
    nc_request *req = take(event->request_number);
    if (event->tag != 7) {
        nc_fail(req, "the tag is another one");
    } else if (event->status == NC_OK) {
        nc_reply(req, nc_answer_body(event->answer));
    } else {
        nc_pass_on(req, event->error);
    }
    nc_request_free(req);
    nc_answer_free(event->answer);
    nc_error_free(event->error);
}

static void on_cancelled(uint64_t id) {
    nc_request *req = take(id);
    puts(nc_request_cancelled(req) ? "cancelled" : "not cancelled");
    fflush(stdout);
    nc_request_free(req);
}

int main(void) {
    static const char *const names[] = {"Echo", "Call", "Give", "Wait"};
    nc_worker *worker = NULL;
    nc_error *error = NULL;
    if (nc_worker_open(names, 4, &worker, &error) != NC_OK) {
        fprintf(stderr, "%s\n", nc_error_message(error));
        nc_error_free(error);
        return 2;
    }
    nc_bytes function = nc_worker_function(worker);
    struct pollfd readable = {.fd = nc_worker_fd(worker), .events = POLLIN};
    for (;;) {
        poll(&readable, 1, -1);
        nc_event event = {.struct_size = sizeof event};
        while (nc_worker_next(worker, 0, &event) == NC_OK) {
            switch (event.kind) {
            case NC_EVENT_REQUEST: on_request(function, event.request); break;
            case NC_EVENT_ANSWER: on_answer(&event); break;
            case NC_EVENT_CANCELLED: on_cancelled(event.request_number); break;
            case NC_EVENT_ENDED: nc_worker_free(worker); return 0;
            default: break;
            }
        }
    }
}
