/*
 * The code that the floors over FIFOs share: the FIFOs, the process that sends requests, and the
 * process that answers them.
 */
#ifndef NIGHTCORE_BENCH_MESSAGES_H
#define NIGHTCORE_BENCH_MESSAGES_H

#include "floor.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* One message of the smallest measured call: a 64-byte header and 16 bytes of payload. */
#define MESSAGE_BYTES 80
/* The maximum number of bytes that a worker reads at once: the size of the largest message. */
#define READ_BYTES 1024

/*
 * The two ends of one FIFO. Each process closes the ends that it does not use, so that its peer
 * reads an end of file.
 */
struct fifo {
    int reader;
    int writer;
};

static void set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        die("cannot set O_NONBLOCK", errno);
}

/* Makes a FIFO, opens both ends (blocking, each with its own flags) and removes its name. */
static struct fifo open_fifo(long pipe_bytes) {
    const char *parent = getenv("TMPDIR");
    char directory[PATH_MAX - 16];
    char path[PATH_MAX];
    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if ((size_t)snprintf(directory, sizeof directory, "%s/nightcore-floor-XXXXXX", parent) >=
        sizeof directory)
        die("TMPDIR is too long", 0);
    if (mkdtemp(directory) == NULL)
        die("cannot make a temporary directory", errno);
    snprintf(path, sizeof path, "%s/fifo", directory);

    struct fifo fifo = {.reader = -1, .writer = -1};
    int error = 0;
    if (mkfifo(path, 0600) != 0) {
        error = errno;
    } else {
        /* Without O_NONBLOCK, this open would wait for a writer. */
        fifo.reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        fifo.writer = fifo.reader < 0 ? -1 : open(path, O_WRONLY | O_CLOEXEC);
        if (fifo.writer < 0)
            error = errno;
        unlink(path);
    }
    rmdir(directory);
    if (error != 0)
        die("cannot make a FIFO", error);
    set_nonblocking(fifo.reader, 0);
    if (fcntl(fifo.writer, F_SETPIPE_SZ, (int)pipe_bytes) < 0)
        die("cannot set the size of a FIFO", errno);
    return fifo;
}

static void close_fifo_ends(int first, int second) {
    close(first);
    close(second);
}

/* Process B of every floor: answers each message with the same bytes, until its input ends. */
static void echo_until_end(int reader, int writer) {
    uint8_t buffer[READ_BYTES];
    for (;;) {
        ssize_t got = read(reader, buffer, sizeof buffer);
        if (got == 0)
            _exit(0);
        if (got != MESSAGE_BYTES || write(writer, buffer, (size_t)got) != got)
            die("the echo got or gave a part of a message", got < 0 ? errno : 0);
    }
}

/*
 * Process A of every floor: makes one round trip with one write and one blocking read, and returns
 * its time in ns. Fails unless the answer equals the message, which contains `number`.
 */
static uint64_t round_trip_ns(int reader, int writer, uint64_t number) {
    uint8_t message[MESSAGE_BYTES] = {0};
    uint8_t answer[READ_BYTES];
    memcpy(message, &number, sizeof number);
    uint64_t start = now_ns();
    if (write(writer, message, sizeof message) != (ssize_t)sizeof message)
        die("cannot write a message", errno);
    ssize_t got = read(reader, answer, sizeof answer);
    uint64_t end = now_ns();
    if (got != MESSAGE_BYTES || memcmp(answer, message, sizeof message) != 0)
        die("the answer is not what was sent", got < 0 ? errno : 0);
    return end - start;
}

/* Makes the round trips and prints the quantiles of their times. */
static void measure(const struct options *options, int reader, int writer) {
    size_t count = (size_t)options->iterations;
    uint64_t *samples = make_samples(count);
    for (long i = 0; i < options->warm_up; i++)
        round_trip_ns(reader, writer, (uint64_t)i);
    for (size_t i = 0; i < count; i++)
        samples[i] = round_trip_ns(reader, writer, i);
    print_samples(samples, count);
}

#endif
