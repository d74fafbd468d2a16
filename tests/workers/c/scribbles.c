#define _POSIX_C_SOURCE 200809L
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The offset in a direct channel's file of the word that names the maker of the last call. In the
 * file of a worker's own channel, these bytes are not used.
 */
#define MAKER_OFFSET 1032

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void scribble_on(char *start, size_t len, uint32_t *state) {
    for (int times = 0; times < 20000; times++) {
        /* Most writes go to the words of the first page. */
        size_t bytes = next_random(state) % 4 == 0 ? len : 1100;
        size_t at = next_random(state) % (bytes / 4);
        uint32_t value = next_random(state) % 3 == 0 ? next_random(state) % 16 : next_random(state);
        __atomic_store_n((uint32_t *)start + at, value, __ATOMIC_RELAXED);
    }
}

static int scribble(uint32_t seed) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int found = 0;
    if (maps == NULL) abort();
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        if (strstr(line, "nightcore-ring") == NULL) continue;
        if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
        if (__atomic_load_n((uint64_t *)(from + MAKER_OFFSET), __ATOMIC_RELAXED) == 0) continue;
        uint32_t state = seed + (uint32_t)found * 77 + 1;
        scribble_on((char *)from, to - from, &state);
        found++;
    }
    fclose(maps);
    return found;
}

int32_t scribbles(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    uint32_t seed = (uint32_t)strtoul(first_line(text, &rest), NULL, 10);
    char *name = first_line(rest, &rest);
    nc_bytes body = bytes_of("body");
    for (int i = 0; *name != '\0' && i < 20; i++) {
        nc_answer *answer = NULL;
        (void)nc_call(req, name, &body, 1, &answer);
        nc_answer_free(answer);
    }
    int found = seed == 0 ? 0 : scribble(seed);
    for (int i = 0; *name != '\0' && i < 20; i++) {
        nc_answer *answer = NULL;
        (void)nc_call(req, name, &body, 1, &answer);
        nc_answer_free(answer);
    }
    free(text);
    return reply_text(req, "%d", found);
}
