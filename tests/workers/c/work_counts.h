/*
 * Counts what the functions WorkA, WorkB and WorkC do: how many of their handlers work at the same
 * time, and how their calls end. A program of threads and one with an event loop count in the same
 * way.
 */
#ifndef WORK_COUNTS_H
#define WORK_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#define WORK_FUNCTIONS 3
/* The maximum size of a report. */
#define REPORT_BYTES (WORK_FUNCTIONS * 32 * 48)

extern const char *const WORK_NAMES[WORK_FUNCTIONS];

/* A handler begins to work. */
void work_begins(void);
/* A handler stops working. */
void work_ends(void);
/* A call of the function of this name has ended. */
void work_called(const char *name, int32_t status);
/* Writes what was counted into REPORT_BYTES bytes. Returns the length. */
size_t work_report(char *text);

#endif
