#include "worker.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PAIRS 64

int32_t echo(nc_request *req, void *user) {
    (void)user;
    return nc_reply(req, nc_request_body(req));
}

int32_t upper(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    size_t len = nc_request_body(req).len;
    for (size_t i = 0; i < len; i++) text[i] = (char)toupper((unsigned char)text[i]);
    int32_t rc = nc_reply(req, (nc_bytes){(const uint8_t *)text, len});
    free(text);
    return rc;
}

int32_t origin(nc_request *req, void *user) {
    (void)user;
    nc_bytes caller = nc_request_caller(req);
    if (!nc_request_is_internal(req))
        return reply_text(req, "external%.*s", (int)caller.len, caller.data);
    return reply_text(req, "internal %.*s", (int)caller.len, caller.data);
}

int32_t metadata(nc_request *req, void *user) {
    (void)user;
    const nc_bytes equals = NC_LITERAL("="), newline = NC_LITERAL("\n");
    nc_bytes parts[4 * MAX_PAIRS + 2];
    size_t count = 0;
    nc_pair pair;
    for (size_t i = 0; i < MAX_PAIRS && nc_request_metadata_at(req, i, &pair) == NC_OK; i++) {
        parts[count++] = pair.name;
        parts[count++] = equals;
        parts[count++] = pair.value;
        parts[count++] = newline;
    }
    parts[count++] = newline;
    parts[count++] = nc_request_body(req);
    return nc_reply_with(req, parts, count, NULL, 0);
}

int32_t reply_as_told(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest = text;
    nc_pair pairs[MAX_PAIRS];
    size_t count = 0;
    while (count < MAX_PAIRS && *rest != '\0') {
        char *line = first_line(rest, &rest);
        /* The search begins after the first character, because names may begin with a colon. */
        char *colon = *line == '\0' ? NULL : strchr(line + 1, ':');
        if (colon == NULL) break;
        *colon = '\0';
        pairs[count].name = bytes_of(line);
        pairs[count++].value = bytes_of(colon + 1 + strspn(colon + 1, " "));
    }
    nc_bytes body = bytes_of(rest);
    int32_t rc = nc_reply_with(req, &body, 1, pairs, count);
    if (rc != NC_OK) rc = reply_text(req, "refused: %s", nc_status_name(rc));
    free(text);
    return rc;
}

/* Fills a buffer with the bytes that the tests expect: see pattern() in the harness. */
static void fill(uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
}

int32_t big(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    size_t len = strtoull(text, NULL, 10);
    uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) abort();
    fill(bytes, len);
    int32_t rc = nc_reply(req, (nc_bytes){bytes, len});
    if (rc != NC_OK) rc = reply_text(req, "refused: %s", nc_status_name(rc));
    free(bytes);
    free(text);
    return rc;
}

int32_t big_buffer(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    size_t len = strtoull(text, NULL, 10);
    free(text);
    nc_buffer *buffer = NULL;
    int32_t rc = nc_buffer_new(req, len, &buffer);
    if (rc != NC_OK) return reply_text(req, "refused: %s", nc_status_name(rc));
    fill(nc_buffer_data(buffer), len);
    return nc_reply_buffer(req, buffer, len, NULL, 0);
}

int32_t fail(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    int32_t rc = nc_fail(req, text);
    free(text);
    return rc;
}

int32_t ready(nc_request *req, void *user) {
    (void)user;
    nc_bytes path = {0};
    nc_request_metadata(req, ":path", &path);
    if (path.len != 6 || memcmp(path.data, "/ready", 6) != 0)
        return reply_text(req, "%d", (int)getpid());
    const nc_bytes echoed = bytes_of("ready");
    nc_answer *answer;
    int32_t rc = nc_call(req, "Echo", &echoed, 1, &answer);
    if (rc != NC_OK) return rc;
    nc_answer_free(answer);
    const nc_pair status = {bytes_of(":status"), bytes_of("503")};
    return nc_reply_with(req, NULL, 0, &status, access("ready", F_OK) == 0 ? 0 : 1);
}

int32_t fail_untold(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    int32_t rc = nc_fail_unexpectedly(req, text);
    free(text);
    return rc;
}
