/* A function of the app, `app NAME [TARGET...]`: it calls the targets in sequence with its body,
   and replies with its body. */
#include <nightcore.h>
#include <stddef.h>
#include <stdio.h>

/* `user` points to the targets in argv, which ends with NULL. */
static int32_t app(nc_request *request, void *user) {
    nc_bytes body = nc_request_body(request);
    for (char **target = user; *target != NULL; target++) {
        nc_answer *answer = NULL;
        int32_t status = nc_call(request, *target, &body, 1, &answer);
        if (status == NC_OK && nc_answer_body(answer).len != body.len) {
            fprintf(stderr, "app: %s did not return the body that it was sent\n", *target);
            status = NC_FUNCTION_FAILED;
        }
        nc_answer_free(answer);
        if (status != NC_OK)
            return status;
    }
    return nc_reply(request, body);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: app NAME [TARGET...]\n");
        return 2;
    }
    return nc_handle(argv[1], app, &argv[2]) == NC_OK ? nc_serve() : 1;
}
