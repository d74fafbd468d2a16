/*
 * What the floors share: arguments, pinning, FIFOs, samples, and an end for everything that was started.
 *
 * A floor is the least that the operating system takes for a piece of work. It is written once and then left
 * alone: a figure that compares against it means something only as long as it does not change.
 *
 * Include this first: it asks for the GNU interfaces.
 */
#ifndef NIGHTCORE_BENCH_FLOOR_H
#define NIGHTCORE_BENCH_FLOOR_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One message of the smallest measured call: a 64-byte header and 16 bytes of payload. */
#define MESSAGE_BYTES 80
/* What a worker reads at most at once: the largest message there is. */
#define READ_BYTES 1024
/* Two pages: room for eight of the largest messages. */
#define DEFAULT_PIPE_BYTES 8192
/* 80 MB of samples; a run is ended by its time long before. */
#define MAX_ITERATIONS 10000000
/* No floor needs a minute; what hangs is ended by then. */
#define LIFETIME_SECONDS 60
#define MAX_CHILDREN 2

struct options {
    long iterations;
    long warm_up;
    long cpu; /* -1: unpinned */
    long pipe_bytes;
};

/* The two ends of one FIFO. Each process closes those that are not its own, so that an end of file is seen. */
struct fifo {
    int reader;
    int writer;
};

static const char *program = "floor";
static pid_t children[MAX_CHILDREN];
static int child_count;

/* Ends the children and this process with one sentence; `error` is an errno, or 0. */
static void die(const char *what, int error) {
    if (error != 0)
        fprintf(stderr, "%s: %s: %s\n", program, what, strerror(error));
    else
        fprintf(stderr, "%s: %s\n", program, what);
    for (int i = 0; i < child_count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    _exit(1);
}

/* Only calls what a signal handler may; the children follow by their parent-death signal. */
static void on_alarm(int signal_number) {
    (void)signal_number;
    static const char message[] = "floor: took longer than its lifetime\n";
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    _exit(1);
}

static void bound_lifetime(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
    alarm(LIFETIME_SECONDS);
}

static long parse_number(const char *text, long least, long most, const char *what) {
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
        die(what, 0);
    return value;
}

static struct options parse_options(int argc, char **argv) {
    struct options options = {.iterations = 0, .warm_up = 0, .cpu = -1, .pipe_bytes = DEFAULT_PIPE_BYTES};
    if (argc < 3)
        die("usage: ITERATIONS WARM_UP [--cpu N] [--pipe-size BYTES]", 0);
    options.iterations = parse_number(argv[1], 1, MAX_ITERATIONS, "ITERATIONS must be 1 to 10000000");
    options.warm_up = parse_number(argv[2], 0, MAX_ITERATIONS, "WARM_UP must be 0 to 10000000");
    for (int i = 3; i < argc; i += 2) {
        if (i + 1 == argc)
            die("an option has no value", 0);
        if (strcmp(argv[i], "--cpu") == 0)
            options.cpu = parse_number(argv[i + 1], 0, CPU_SETSIZE - 1, "--cpu must be the number of a core");
        else if (strcmp(argv[i], "--pipe-size") == 0)
            options.pipe_bytes = parse_number(argv[i + 1], 4096, 1048576, "--pipe-size must be 4096 to 1048576");
        else
            die("unknown option; there are --cpu N and --pipe-size BYTES", 0);
    }
    return options;
}

/* Before any fork, so that all processes inherit it. */
static void prepare(const struct options *options) {
    signal(SIGPIPE, SIG_IGN);
    bound_lifetime();
    if (options->cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)options->cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        die("cannot pin to that core", errno);
}

static void set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        die("cannot set O_NONBLOCK", errno);
}

/* Makes a FIFO, opens both ends (blocking, each with flags of its own) and takes its name away again. */
static struct fifo open_fifo(long pipe_bytes) {
    const char *parent = getenv("TMPDIR");
    char directory[PATH_MAX - 16];
    char path[PATH_MAX];
    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if ((size_t)snprintf(directory, sizeof directory, "%s/nightcore-floor-XXXXXX", parent) >= sizeof directory)
        die("TMPDIR is too long", 0);
    if (mkdtemp(directory) == NULL)
        die("cannot make a temporary directory", errno);
    snprintf(path, sizeof path, "%s/fifo", directory);

    struct fifo fifo = {.reader = -1, .writer = -1};
    int error = 0;
    if (mkfifo(path, 0600) != 0) {
        error = errno;
    } else {
        /* Non-blocking, or the open would wait for a writer. */
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

/* 0 in the child, which dies with its parent and knows no children of its own. */
static pid_t start_child(void) {
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        die("cannot fork", errno);
    if (pid > 0) {
        children[child_count++] = pid;
        return pid;
    }
    child_count = 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    bound_lifetime();
    return 0;
}

/* The children end by the end of file on what they read; anything but a clean end spoils the figure. */
static void wait_for_children(void) {
    int failed = 0;
    for (int i = 0; i < child_count; i++) {
        int status = 0;
        if (waitpid(children[i], &status, 0) != children[i] || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            failed = 1;
    }
    child_count = 0;
    if (failed)
        die("a child did not end cleanly", 0);
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

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Process A of every floor: one write and one blocking read for each round trip; its number must come back. */
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

static int compare_samples(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Times the round trips and prints one line: "p50_ns N p99_ns N iterations N". */
static void measure(const struct options *options, int reader, int writer) {
    size_t count = (size_t)options->iterations;
    uint64_t *samples = malloc(count * sizeof *samples);
    if (samples == NULL)
        die("no memory for the samples", errno);
    /* Touched now, so that no page fault falls into a sample. */
    memset(samples, 0xff, count * sizeof *samples);
    for (long i = 0; i < options->warm_up; i++)
        round_trip_ns(reader, writer, (uint64_t)i);
    for (size_t i = 0; i < count; i++)
        samples[i] = round_trip_ns(reader, writer, i);
    qsort(samples, count, sizeof *samples, compare_samples);
    printf("p50_ns %llu p99_ns %llu iterations %zu\n", (unsigned long long)samples[count / 2],
           (unsigned long long)samples[count * 99 / 100], count);
    fflush(stdout);
    free(samples);
}

#endif
