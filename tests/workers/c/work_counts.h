/*
 * Counts the work of the functions WorkA, WorkB and WorkC: the number of handlers that work at the
 * same time, and the outcomes of their calls. The worker with threads and the one with an event
 * loop count in the same way.
 */
#ifndef WORK_COUNTS_H
#define WORK_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#define WORK_FUNCTIONS 3
/* The maximum size of a report. */
#define REPORT_BYTES (WORK_FUNCTIONS * 32 * 48)

extern const char *const WORK_NAMES[WORK_FUNCTIONS];

/* Records that a handler begins to work. */
void work_begins(void);
/* Records that a handler stops working. */
void work_ends(void);
/* Records that a call of the function with this name has ended. */
void work_called(const char *name, int32_t status);
/* Writes the counts into a buffer of REPORT_BYTES bytes. Returns the length of the text. */
size_t work_report(char *text);

#endif
