#include "worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns new memory. Aborts if there is none, because the test cannot go on. */
static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) abort();
    return memory;
}

char *body_text(const nc_request *req) {
    nc_bytes body = nc_request_body(req);
    char *text = allocate(body.len + 1);
    if (body.len > 0) memcpy(text, body.data, body.len);
    text[body.len] = '\0';
    return text;
}

char *first_line(char *text, char **rest) {
    char *end = strchr(text, '\n');
    *rest = end == NULL ? text + strlen(text) : end + 1;
    if (end != NULL) *end = '\0';
    return text;
}

nc_bytes bytes_of(const char *text) { return (nc_bytes){(const uint8_t *)text, strlen(text)}; }

int32_t reply_text(nc_request *req, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = allocate((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    int32_t rc = nc_reply(req, (nc_bytes){(const uint8_t *)text, (size_t)length});
    free(text);
    return rc;
}
