// What stands around a piece of C in the documents.
#include <nightcore.h>
#include <stdio.h>

int32_t piece(nc_request *req, size_t count, const nc_bytes *images);
int32_t piece(nc_request *req, size_t count, const nc_bytes *images) {
HERE
    return NC_OK;
}
