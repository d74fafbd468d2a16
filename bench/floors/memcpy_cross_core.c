/*
 * A floor: one memcpy whose source was last written by the other core.
 *
 * One process writes a payload, and the reader, a process on another core, copies it. The copy has
 * to fetch the payload from the caches of the writer's core. The writer fills the source again
 * before each copy. The destination is the reader's own memory, which is in the caches of its core.
 */
#include "floor.h"

#include <stdatomic.h>
#include <sys/mman.h>

/*
 * Tells the processes whose turn it is. For round n, counted from 0, the number is 2n when the
 * writer may write, 2n + 1 when it has written, and 2n + 2 when the reader has copied the payload.
 * The number has a cache line to itself, because both cores spin on it.
 */
struct turn {
    _Alignas(128) atomic_ulong number;
    _Alignas(128) uint8_t after;
};

static void await(struct turn *turn, unsigned long number) {
    while (atomic_load_explicit(&turn->number, memory_order_acquire) != number)
        ;
}

static void give(struct turn *turn, unsigned long number) {
    atomic_store_explicit(&turn->number, number, memory_order_release);
}

static void write_until_end(struct turn *turn, uint8_t *source, size_t bytes,
                            unsigned long rounds) {
    for (unsigned long i = 0; i < rounds; i++) {
        await(turn, 2 * i);
        memset(source, (int)(i & 0xff), bytes);
        give(turn, 2 * i + 1);
    }
    _exit(0);
}

static uint64_t copy_ns(struct turn *turn, uint8_t *to, const uint8_t *source, size_t bytes,
                        unsigned long number) {
    await(turn, 2 * number + 1);
    uint64_t start = now_ns();
    memcpy(to, source, bytes);
    uint64_t end = now_ns();
    /* Reads the copy, because the compiler might omit a copy that nothing reads. */
    if (to[0] != (number & 0xff) || to[bytes - 1] != (number & 0xff))
        die("the copy is not what was written", 0);
    give(turn, 2 * number + 2);
    return end - start;
}

static void *shared(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("cannot make shared memory", errno);
    /* Touches every page, so that the reader has no page faults while it is measured. */
    memset(memory, 0, bytes);
    return memory;
}

int main(int argc, char **argv) {
    program = "memcpy_cross_core";
    struct options options = parse_options(argc, argv);
    if (options.cpu < 0 || options.other_cpu < 0 || options.cpu == options.other_cpu ||
        options.copy_bytes == 0)
        die("--cpu and --other-cpu must name two cores, and --copy the bytes", 0);
    prepare(&options);
    size_t bytes = (size_t)options.copy_bytes, count = (size_t)options.iterations;
    unsigned long warm_up = (unsigned long)options.warm_up;
    struct turn *turn = shared(sizeof *turn);
    uint8_t *source = shared(bytes);
    uint8_t *to = malloc(bytes);
    uint64_t *samples = make_samples(count);
    if (to == NULL)
        die("no memory for the copy", errno);
    memset(to, 0xff, bytes);

    if (start_child() == 0) {
        pin(options.other_cpu);
        write_until_end(turn, source, bytes, warm_up + count);
    }
    for (unsigned long i = 0; i < warm_up; i++)
        copy_ns(turn, to, source, bytes, i);
    for (size_t i = 0; i < count; i++)
        samples[i] = copy_ns(turn, to, source, bytes, warm_up + i);
    wait_for_children();
    print_samples(samples, count);
    free(to);
    return 0;
}
