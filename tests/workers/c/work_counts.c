#include "work_counts.h"

#include <nightcore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define STATUSES 32

const char *const WORK_NAMES[WORK_FUNCTIONS] = {"WorkA", "WorkB", "WorkC"};
static atomic_int running, most;
static atomic_ulong ended[WORK_FUNCTIONS][STATUSES];

void work_begins(void) {
    int now = atomic_fetch_add(&running, 1) + 1, before = atomic_load(&most);
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now)) {
    }
}

void work_ends(void) { atomic_fetch_sub(&running, 1); }

void work_called(const char *name, int32_t status) {
    for (int callee = 0; callee < WORK_FUNCTIONS; callee++) {
        if (strcmp(name, WORK_NAMES[callee]) == 0 && status >= 0 && status < STATUSES)
            atomic_fetch_add(&ended[callee][status], 1);
    }
}

size_t work_report(char *text) {
    size_t length = (size_t)snprintf(text, REPORT_BYTES, "most - %d\n", atomic_load(&most));
    for (int callee = 0; callee < WORK_FUNCTIONS; callee++) {
        for (int32_t status = 0; status < STATUSES; status++) {
            unsigned long count = atomic_load(&ended[callee][status]);
            if (count == 0) continue;
            length += (size_t)snprintf(text + length, REPORT_BYTES - length, "%s %s %lu\n",
                                       WORK_NAMES[callee], nc_status_name(status), count);
        }
    }
    return length;
}
