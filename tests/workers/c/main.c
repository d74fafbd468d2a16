#include "worker.h"

#include <stdlib.h>

struct entry {
    const char *name;
    nc_handler handler;
    const char *user;
};

static const struct entry HANDLERS[] = {
    {"Echo", echo, NULL},
    {"EchoC", echo, NULL},
    {"Upper", upper, NULL},
    {"UpperC", upper, NULL},
    {"Origin", origin, NULL},
    {"OriginC", origin, NULL},
    {"Metadata", metadata, NULL},
    {"Reply", reply_as_told, NULL},
    {"Big", big, NULL},
    {"BigBuffer", big_buffer, NULL},
    {"Fail", fail, NULL},
    {"FailC", fail, NULL},
    {"FailUntold", fail_untold, NULL},
    {"Call", call, NULL},
    {"CallC", call, NULL},
    {"TryCall", try_call, NULL},
    {"CallWithin", call_within, NULL},
    {"CallBig", call_big, NULL},
    {"Odd", chain, "Even"},
    {"Even", chain, "Odd"},
    {"Fib", fib, NULL},
    {"FanOut", fan_out, NULL},
    {"Probe", probe, NULL},
    {"ProbeBig", probe_big, NULL},
    {"Pid", own_pid, NULL},
    {"Variable", variable, NULL},
    {"Crash", crash, NULL},
    {"Leave", leave, NULL},
    {"HoldLock", hold_lock, NULL},
    {"Delicate", delicate, NULL},
    {"CrashOnce", crash_once, NULL},
    {"LoopForEver", loop_for_ever, NULL},
    {"Fork", fork_child, NULL},
    {"Allocate", allocate_mib, NULL},
    {"Keep", allocate_mib, "keeps it"},
    {"Print", print, NULL},
    {"PrintLong", print_long, NULL},
    {"Append", append, NULL},
    {"Sleep", sleep_ms, NULL},
    {"SleepStubbornly", sleep_stubbornly, NULL},
    {"WaitForFile", wait_for_file, NULL},
    {"Compute", compute, NULL},
    {"Ready", ready, NULL},
    {"WorkA", work, NULL},
    {"WorkB", work, NULL},
    {"WorkC", work, NULL},
    {"KeepTwo", keep_two, NULL},
    {"Scribble", scribbles, NULL},
};

int main(void) {
    for (size_t i = 0; i < sizeof HANDLERS / sizeof *HANDLERS; i++) {
        const struct entry *entry = &HANDLERS[i];
        if (nc_handle(entry->name, entry->handler, (void *)entry->user) != NC_OK) return 1;
    }
    /* A test with more functions than there are names above sets this variable. */
    const char *also = getenv("ALSO");
    if (also != NULL && nc_handle(also, echo, NULL) != NC_OK) return 1;
    return nc_serve();
}
