/*
 * An event loop whose requests are answered by other threads while further threads make calls for
 * them, to be run with a thread sanitizer. Race calls Echo from one thread until another thread has
 * answered the request; the answer says so.
 */
#include <nightcore.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Each request has two threads and is freed by the one that ends last. */
struct race {
    nc_request *req;
    pthread_t caller;
};

static void *call_until_refused(void *user) {
    struct race *race = user;
    uint8_t body[2000] = {0};
    nc_bytes small = {body, 10}, large = {body, sizeof body};
    int32_t rc = NC_OK;
    for (uint64_t tag = 0; rc == NC_OK; tag++) {
        rc = nc_call_start(race->req, tag, "Echo", tag % 2 == 0 ? &small : &large, 1, NULL, NULL);
        nc_request_cancelled(race->req);
    }
    return NULL;
}

static void *answer(void *user) {
    struct race *race = user;
    nc_bytes body = nc_request_body(race->req);
    nc_buffer *buffer = NULL;
    /* Answers in one of two ways: with a copied body, or with a buffer in place. */
    if (body.len % 2 == 0 || nc_buffer_new(race->req, 70000, &buffer) != NC_OK) {
        nc_reply(race->req, NC_LITERAL("answered"));
    } else {
        for (size_t i = 0; i < 70000; i++) nc_buffer_data(buffer)[i] = 'x';
        nc_reply_buffer(race->req, buffer, 70000, NULL, 0);
    }
    pthread_join(race->caller, NULL);
    nc_request_free(race->req);
    free(race);
    return NULL;
}

static void begin(nc_request *req) {
    struct race *race = malloc(sizeof *race);
    pthread_t answering;
    if (race == NULL) abort();
    race->req = req;
    if (pthread_create(&race->caller, NULL, call_until_refused, race) != 0) abort();
    if (pthread_create(&answering, NULL, answer, race) != 0) abort();
    pthread_detach(answering);
}

int main(void) {
    static const char *const names[] = {"Race"};
    nc_worker *worker = NULL;
    if (nc_worker_open(names, 1, &worker, NULL) != NC_OK) return 2;
    struct pollfd readable = {.fd = nc_worker_fd(worker), .events = POLLIN};
    for (;;) {
        poll(&readable, 1, -1);
        nc_event event = {.struct_size = sizeof event};
        while (nc_worker_next(worker, 0, &event) == NC_OK) {
            if (event.kind == NC_EVENT_ENDED) {
                nc_worker_free(worker);
                return 0;
            }
            if (event.kind == NC_EVENT_REQUEST) begin(event.request);
            nc_answer_free(event.answer);
            nc_error_free(event.error);
        }
    }
}
