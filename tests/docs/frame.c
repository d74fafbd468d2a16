// The source that surrounds each C example of the documents that is not a whole program. The
// example replaces the marked line.
#include <nightcore.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

int connect_to_database(void);
void shut_down(void *user);

int32_t piece(nc_request *req, size_t count, const nc_bytes *images);
int32_t piece(nc_request *req, size_t count, const nc_bytes *images) {
HERE
    return NC_OK;
}
