/*
 * A floor: a round trip A -> B -> A over two FIFOs. All reads and writes block, and each direction
 * takes one write and one read.
 *
 * No call through a coordinator can be faster than this floor. It shows the cost of one sleeping
 * reader on this machine.
 */
#include "messages.h"

int main(int argc, char **argv) {
    program = "pingpong";
    struct options options = parse_options(argc, argv);
    prepare(&options);
    struct fifo to_b = open_fifo(options.pipe_bytes);
    struct fifo to_a = open_fifo(options.pipe_bytes);

    if (start_child() == 0) {
        close_fifo_ends(to_b.writer, to_a.reader);
        echo_until_end(to_b.reader, to_a.writer);
    }
    close_fifo_ends(to_b.reader, to_a.writer);
    measure(&options, to_a.reader, to_b.writer);
    close_fifo_ends(to_b.writer, to_a.reader);
    wait_for_children();
    return 0;
}
