#include "functions.h"

int32_t bench_echo(nc_request *request, void *user) {
    (void)user;
    return nc_reply(request, nc_request_body(request));
}

int32_t bench_empty(nc_request *request, void *user) {
    (void)user;
    nc_bytes nothing = {NULL, 0};
    return nc_reply(request, nothing);
}
