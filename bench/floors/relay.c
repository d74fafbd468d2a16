/*
 * A floor: a round trip A -> E -> B -> E -> A over four FIFOs. The messages take the path of an
 * internal call, and the processes do no other work.
 *
 * A (the caller) and B (the called function) block in their reads. E (the engine) sleeps in an
 * edge-triggered epoll, never blocks on a FIFO, and does one read and one write for each message.
 */
#include "messages.h"

#include <sys/epoll.h>

/* The maximum number of bytes that the engine reads at once from a channel. */
#define RELAY_READ_BYTES 4096
#define MAX_EVENTS 16

struct route {
    int from;
    int to;
};

/* Process E: passes each message on, until one of its inputs ends. */
static void relay_until_end(struct route *routes, uint32_t count) {
    uint8_t buffer[RELAY_READ_BYTES];
    struct epoll_event events[MAX_EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("cannot make an epoll", errno);
    for (uint32_t i = 0; i < count; i++) {
        struct epoll_event interest = {.events = EPOLLIN | EPOLLET, .data = {.u32 = i}};
        set_nonblocking(routes[i].from, 1);
        set_nonblocking(routes[i].to, 1);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, routes[i].from, &interest) != 0)
            die("cannot watch a FIFO", errno);
    }
    for (;;) {
        int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (ready < 0)
            die("cannot wait for messages", errno);
        for (int i = 0; i < ready; i++) {
            const struct route *route = &routes[events[i].data.u32];
            ssize_t got = read(route->from, buffer, sizeof buffer);
            if (got == 0)
                _exit(0);
            if (got < 0 && errno == EAGAIN)
                continue;
            if (got < 0 || write(route->to, buffer, (size_t)got) != got)
                die("cannot pass a message on", errno);
        }
    }
}

int main(int argc, char **argv) {
    program = "relay";
    struct options options = parse_options(argc, argv);
    prepare(&options);
    struct fifo a_to_e = open_fifo(options.pipe_bytes);
    struct fifo e_to_a = open_fifo(options.pipe_bytes);
    struct fifo e_to_b = open_fifo(options.pipe_bytes);
    struct fifo b_to_e = open_fifo(options.pipe_bytes);

    if (start_child() == 0) {
        struct route routes[] = {{a_to_e.reader, e_to_b.writer}, {b_to_e.reader, e_to_a.writer}};
        close_fifo_ends(a_to_e.writer, e_to_a.reader);
        close_fifo_ends(e_to_b.reader, b_to_e.writer);
        relay_until_end(routes, 2);
    }
    if (start_child() == 0) {
        close_fifo_ends(a_to_e.reader, a_to_e.writer);
        close_fifo_ends(e_to_a.reader, e_to_a.writer);
        close_fifo_ends(e_to_b.writer, b_to_e.reader);
        echo_until_end(e_to_b.reader, b_to_e.writer);
    }
    close_fifo_ends(e_to_b.reader, e_to_b.writer);
    close_fifo_ends(b_to_e.reader, b_to_e.writer);
    close_fifo_ends(a_to_e.reader, e_to_a.writer);
    measure(&options, e_to_a.reader, a_to_e.writer);
    close_fifo_ends(a_to_e.writer, e_to_a.reader);
    wait_for_children();
    return 0;
}
