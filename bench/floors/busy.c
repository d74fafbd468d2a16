/*
 * Keeps one core busy, at normal priority, until it is killed. This program is not a floor: it runs
 * beside the measured calls.
 *
 * usage: busy CORE
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * The program ends itself after this time, in case the bench does not kill it. Every measurement
 * is shorter than this.
 */
#define LIFETIME_SECONDS 300

int main(int argc, char **argv) {
    cpu_set_t set;
    CPU_ZERO(&set);
    int core = argc == 2 ? atoi(argv[1]) : -1;
    if (core < 0 || core >= CPU_SETSIZE) {
        fputs("usage: busy CORE\n", stderr);
        return 2;
    }
    CPU_SET((size_t)core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        perror("busy: cannot pin to that core");
        return 1;
    }
    alarm(LIFETIME_SECONDS);
    for (volatile unsigned long work = 0;; work++)
        ;
}
