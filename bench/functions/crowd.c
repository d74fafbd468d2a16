/*
 * One of many functions: it has any name and sends an empty reply, in as small a process as
 * possible.
 */
#include <nightcore.h>
#include <stddef.h>

static int32_t empty(nc_request *request, void *user) {
    (void)user;
    nc_bytes nothing = {NULL, 0};
    return nc_reply(request, nothing);
}

int main(int argc, char **argv) {
    return argc == 2 && nc_handle(argv[1], empty, NULL) == NC_OK ? nc_serve() : 1;
}
