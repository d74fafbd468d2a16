#include "functions.h"

int32_t bench_three(nc_request *request, void *user) {
    (void)user;
    nc_bytes nothing = {NULL, 0};
    for (int i = 0; i < 3; i++) {
        nc_answer *answer = NULL;
        int32_t status = nc_call(request, "Empty", NULL, 0, &answer);
        nc_answer_free(answer);
        if (status != NC_OK)
            return status;
    }
    return nc_reply(request, nothing);
}
