#include "functions.h"

int main(void) {
    int32_t status = nc_handle("Caller", bench_caller, NULL);
    if (status == NC_OK)
        status = nc_handle("Echo", bench_echo, NULL);
    if (status == NC_OK)
        status = nc_handle("Empty", bench_empty, NULL);
    if (status == NC_OK)
        status = nc_handle("Three", bench_three, NULL);
    if (status == NC_OK)
        status = nc_handle("Relay", bench_relay, NULL);
    if (status == NC_OK)
        status = nc_handle("Notice", bench_notice, NULL);
    if (status == NC_OK)
        status = nc_handle("Sleeps", bench_sleeps, NULL);
    if (status == NC_OK)
        status = nc_handle("Computes", bench_computes, NULL);
    if (status == NC_OK)
        status = nc_handle("Full", bench_sleeps, NULL);
    return status == NC_OK ? nc_serve() : 1;
}
