/*
 * The code that all floors share: it parses arguments, pins processes, prints samples, and ends
 * every process that was started.
 *
 * A floor measures the least time that the operating system takes for a piece of work. A floor is
 * written once and then not changed, so that figures which are compared with it keep their meaning.
 *
 * Include this file first, because it defines _GNU_SOURCE.
 */
#ifndef NIGHTCORE_BENCH_FLOOR_H
#define NIGHTCORE_BENCH_FLOOR_H

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Two pages, which hold eight of the largest messages. */
#define DEFAULT_PIPE_BYTES 8192
/* This many samples take 80 MB. The time limit ends a run long before it reaches this number. */
#define MAX_ITERATIONS 10000000
/* A process that hangs ends itself after this time. Every floor takes less. */
#define LIFETIME_SECONDS 60
#define MAX_CHILDREN 2
/* The largest copy that has a figure is 1 MiB. */
#define MAX_COPY_BYTES (16l << 20)

struct options {
    long iterations;
    long warm_up;
    long cpu;       /* -1: unpinned */
    long other_cpu; /* the second core, for the floors that need two; -1: not given */
    long pipe_bytes;
    long copy_bytes;
};

static const char *program = "floor";
static pid_t children[MAX_CHILDREN];
static int child_count;

/* Prints one message, and ends the children and this process. `error` is an errno, or 0. */
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

/*
 * Ends the process when its lifetime is over. The handler calls only async-signal-safe functions.
 * It does not have to end the children, because the kernel sends them their parent-death signal.
 */
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
    struct options options = {
        .cpu = -1, .other_cpu = -1, .pipe_bytes = DEFAULT_PIPE_BYTES, .copy_bytes = 0};
    if (argc < 3)
        die("usage: ITERATIONS WARM_UP [--cpu N] [--other-cpu N] [--pipe-size BYTES] "
            "[--copy BYTES]",
            0);
    options.iterations =
        parse_number(argv[1], 1, MAX_ITERATIONS, "ITERATIONS must be 1 to 10000000");
    options.warm_up = parse_number(argv[2], 0, MAX_ITERATIONS, "WARM_UP must be 0 to 10000000");
    for (int i = 3; i < argc; i += 2) {
        if (i + 1 == argc)
            die("an option has no value", 0);
        if (strcmp(argv[i], "--cpu") == 0)
            options.cpu =
                parse_number(argv[i + 1], 0, CPU_SETSIZE - 1, "--cpu must be the number of a core");
        else if (strcmp(argv[i], "--other-cpu") == 0)
            options.other_cpu = parse_number(argv[i + 1], 0, CPU_SETSIZE - 1,
                                             "--other-cpu must be the number of a core");
        else if (strcmp(argv[i], "--copy") == 0)
            options.copy_bytes =
                parse_number(argv[i + 1], 1, MAX_COPY_BYTES, "--copy must be 1 to 16777216");
        else if (strcmp(argv[i], "--pipe-size") == 0)
            options.pipe_bytes =
                parse_number(argv[i + 1], 4096, 1048576, "--pipe-size must be 4096 to 1048576");
        else
            die("unknown option; there are --cpu, --other-cpu, --pipe-size and --copy", 0);
    }
    return options;
}

static void pin(long cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        die("cannot pin to that core", errno);
}

/* This function must be called before any fork, so that all processes inherit the settings. */
static void prepare(const struct options *options) {
    signal(SIGPIPE, SIG_IGN);
    bound_lifetime();
    if (options->cpu >= 0)
        pin(options->cpu);
}

/*
 * Forks. Returns 0 in the child, and the child's pid in the parent. The child is killed when its
 * parent dies, and its list of children is empty.
 */
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

/*
 * Waits until the children have ended by themselves. If one of them fails, no figure is printed,
 * because it would be wrong.
 */
static void wait_for_children(void) {
    int failed = 0;
    for (int i = 0; i < child_count; i++) {
        int status = 0;
        if (waitpid(children[i], &status, 0) != children[i] || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 0)
            failed = 1;
    }
    child_count = 0;
    if (failed)
        die("a child did not end cleanly", 0);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare_samples(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Allocates memory for samples, and writes to it so that no page fault happens during a sample. */
static uint64_t *make_samples(size_t count) {
    uint64_t *samples = malloc(count * sizeof *samples);
    if (samples == NULL)
        die("no memory for the samples", errno);
    memset(samples, 0xff, count * sizeof *samples);
    return samples;
}

/*
 * Sorts the samples, frees them, and prints one line:
 * "p50_ns N p90_ns N p99_ns N p999_ns N iterations N".
 */
static void print_samples(uint64_t *samples, size_t count) {
    static const struct {
        const char *name;
        size_t permille;
    } quantiles[] = {{"p50_ns", 500}, {"p90_ns", 900}, {"p99_ns", 990}, {"p999_ns", 999}};
    qsort(samples, count, sizeof *samples, compare_samples);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        printf("%s %llu ", quantiles[i].name,
               (unsigned long long)samples[count * quantiles[i].permille / 1000]);
    printf("iterations %zu\n", count);
    fflush(stdout);
    free(samples);
}

#endif
