// Two functions: Foo calls Bar and replies with Bar's answer.

#include <nightcore.h>

static int32_t foo(nc_request *req, void *user) {
    (void)user;
    nc_bytes parts[] = {nc_request_body(req), NC_LITERAL(", World")};
    nc_answer *bar = NULL;
    int32_t rc = nc_call(req, "Bar", parts, 2, &bar);
    if (rc == NC_OK) rc = nc_reply(req, nc_answer_body(bar));
    nc_answer_free(bar);
    return rc; // If it is not NC_OK, the caller gets Bar's error.
}

static int32_t bar(nc_request *req, void *user) {
    (void)user;
    nc_bytes parts[] = {NC_LITERAL("From function Bar: "), nc_request_body(req)};
    return nc_reply_with(req, parts, 2, NULL, 0);
}

int main(void) {
    nc_handle("Foo", foo, NULL);
    nc_handle("Bar", bar, NULL);
    return nc_serve();
}
