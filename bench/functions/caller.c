/*
 * The measured caller: it is a handler that times its own calls, so that the samples contain
 * neither HTTP nor the client.
 */
#define _POSIX_C_SOURCE 200809L
#include "functions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The benchmark measures bodies of up to 1 MiB. */
#define MAX_SIZE_BYTES (16u << 20)
/* The samples then take at most 16 MB, which is less than the default limit for bodies. */
#define MAX_COUNT 2000000u
#define SAMPLE_BYTES 8u
/* The text is longer than "16777216 2000000 2000000" and the longest name. */
#define MAX_TEXT 128
#define MAX_TARGET 64

struct plan {
    size_t size_bytes;
    size_t count;
    size_t warm_up;
    char target[MAX_TARGET];
};

static int parse_plan(nc_bytes body, struct plan *plan) {
    char text[MAX_TEXT];
    char rest;
    if (body.len == 0 || body.len >= sizeof text)
        return 0;
    memcpy(text, body.data, body.len);
    text[body.len] = '\0';
    if (sscanf(text, "%zu %zu %zu %63s %c", &plan->size_bytes, &plan->count, &plan->warm_up,
               plan->target, &rest) != 4)
        return 0;
    return plan->size_bytes <= MAX_SIZE_BYTES && plan->count >= 1 && plan->count <= MAX_COUNT &&
           plan->warm_up <= MAX_COUNT;
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put_sample(uint8_t *to, uint64_t sample_ns) {
    for (unsigned i = 0; i < SAMPLE_BYTES; i++)
        to[i] = (uint8_t)(sample_ns >> (8 * i));
}

/*
 * Makes one call; the time includes freeing the answer. With `check` it compares every byte,
 * otherwise only the length.
 */
static int32_t timed_call(nc_request *request, const char *target, nc_bytes payload, int check,
                          uint64_t *sample_ns) {
    nc_answer *answer = NULL;
    uint64_t start = now_ns();
    int32_t status = nc_call(request, target, &payload, 1, &answer);
    int same = 0;
    if (status == NC_OK) {
        nc_bytes echoed = nc_answer_body(answer);
        same = echoed.len == payload.len;
        if (same && check && payload.len > 0)
            same = memcmp(echoed.data, payload.data, payload.len) == 0;
    }
    nc_answer_free(answer);
    *sample_ns = now_ns() - start;
    if (status == NC_OK && !same) {
        fprintf(stderr, "Caller: %s did not return the body that it was sent\n", target);
        return NC_FUNCTION_FAILED;
    }
    return status;
}

/* Makes all calls. Only the first one compares the bytes, so a sample includes the comparison only
   if there is no warm-up. */
static int32_t run(nc_request *request, const struct plan *plan, nc_bytes payload,
                   uint8_t *samples) {
    uint64_t sample_ns = 0;
    int32_t status = NC_OK;
    for (size_t i = 0; status == NC_OK && i < plan->warm_up + plan->count; i++) {
        status = timed_call(request, plan->target, payload, i == 0, &sample_ns);
        if (i >= plan->warm_up)
            put_sample(samples + (i - plan->warm_up) * SAMPLE_BYTES, sample_ns);
    }
    if (status != NC_OK)
        return status;
    nc_bytes answer = {samples, plan->count * SAMPLE_BYTES};
    return nc_reply(request, answer);
}

int32_t bench_caller(nc_request *request, void *user) {
    (void)user;
    struct plan plan;
    if (!parse_plan(nc_request_body(request), &plan)) {
        fprintf(stderr, "Caller: the body must be \"SIZE COUNT WARMUP TARGET\", "
                        "within the bounds in caller.c\n");
        return NC_FUNCTION_FAILED;
    }
    size_t samples_bytes = plan.count * SAMPLE_BYTES;
    uint8_t *payload = malloc(plan.size_bytes + 1); /* malloc(0) may be NULL */
    uint8_t *samples = malloc(samples_bytes);
    int32_t status = NC_FUNCTION_FAILED;
    if (payload != NULL && samples != NULL) {
        /* The memory is touched now, so that no sample includes a page fault. */
        memset(samples, 0xff, samples_bytes);
        for (size_t i = 0; i < plan.size_bytes; i++)
            payload[i] = (uint8_t)(i * 31 + 7);
        nc_bytes body = {payload, plan.size_bytes};
        status = run(request, &plan, body, samples);
    }
    free(payload);
    free(samples);
    return status;
}
