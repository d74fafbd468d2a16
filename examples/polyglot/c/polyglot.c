// The hello functions in C, under names of their own so that one engine can run them beside those
// of other languages. FooC calls the function whose name follows its own in the path:
// /function/FooC/BarRust. Without such a name it calls BarC.

#include <nightcore.h>
#include <stdio.h>

static int32_t foo(nc_request *req, void *user) {
    (void)user;
    char callee[64] = "BarC";
    nc_bytes path;
    if (nc_request_metadata(req, ":path", &path) == NC_OK && path.len > 1)
        snprintf(callee, sizeof callee, "%.*s", (int)path.len - 1, (const char *)path.data + 1);
    nc_bytes parts[] = {nc_request_body(req), NC_LITERAL(", World")};
    nc_answer *bar = NULL;
    int32_t rc = nc_call(req, callee, parts, 2, &bar);
    if (rc == NC_OK) rc = nc_reply(req, nc_answer_body(bar));
    nc_answer_free(bar);
    return rc;
}

static int32_t bar(nc_request *req, void *user) {
    (void)user;
    nc_bytes parts[] = {NC_LITERAL("From function Bar: "), nc_request_body(req)};
    return nc_reply_with(req, parts, 2, NULL, 0);
}

int main(void) {
    nc_handle("FooC", foo, NULL);
    nc_handle("BarC", bar, NULL);
    return nc_serve();
}
