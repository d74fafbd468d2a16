// A function that adds its name to the body and calls the next function, if there is one. The
// reply is the answer of the next function, or else the longer body.

#include <nightcore.h>
#include <stdlib.h>

static int32_t relay(nc_request *req, void *next) {
    nc_bytes parts[] = {nc_request_body(req), NC_LITERAL(" > C")};
    if (next == NULL) return nc_reply_with(req, parts, 2, NULL, 0);
    nc_answer *answer = NULL;
    int32_t rc = nc_call(req, next, parts, 2, &answer);
    if (rc == NC_OK) rc = nc_reply(req, nc_answer_body(answer));
    nc_answer_free(answer);
    return rc;
}

int main(void) {
    nc_handle("RelayC", relay, getenv("NEXT"));
    return nc_serve();
}
