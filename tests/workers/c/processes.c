#define _DEFAULT_SOURCE
#include "worker.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

int32_t own_pid(nc_request *req, void *user) {
    (void)user;
    return reply_text(req, "%d", (int)getpid());
}

int32_t variable(nc_request *req, void *user) {
    (void)user;
    char *name = body_text(req);
    const char *value = getenv(name);
    free(name);
    return reply_text(req, "%s", value ? value : "(none)");
}

int32_t crash(nc_request *req, void *user) {
    (void)req, (void)user;
    abort();
}

int32_t leave(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    exit(atoi(text));
}

/* Moves the descriptor `by` to `fd`. The file that `fd` referred to is closed. */
static void replace(int fd, int by) {
    dup2(by, fd);
    close(by);
}

int32_t hold_lock(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    int lock = open(first_line(text, &rest), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) return nc_fail(req, "it is locked");
    int watch = inotify_init1(IN_CLOEXEC);
    int told = inotify_add_watch(watch, "/", IN_CREATE) >= 0 && ftruncate(lock, 0) == 0 &&
               dprintf(lock, "%d\n", (int)getpid()) > 0;
    /*
     * A process that ends closes its highest descriptors first, and takes milliseconds to close one
     * that watches files.
     */
    replace(STDIN_FILENO, lock);
    replace(STDOUT_FILENO, watch);
    usleep((useconds_t)atoi(rest) * 1000);
    replace(STDIN_FILENO, open("/dev/null", O_RDONLY));
    replace(STDOUT_FILENO, dup(STDERR_FILENO));
    free(text);
    return told ? reply_text(req, "alone") : nc_fail(req, "no pid could be written");
}

int32_t delicate(nc_request *req, void *user) {
    char *text = body_text(req);
    if (strcmp(text, "poison") == 0) abort();
    free(text);
    return sleep_ms(req, user);
}

int32_t crash_once(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req), *rest;
    int fd = open(first_line(text, &rest), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) abort();
    nc_bytes all = nc_request_body(req);
    size_t before = (size_t)(rest - text);
    nc_bytes answer = {all.data + before, all.len - before};
    free(text);
    return nc_reply(req, answer);
}

int32_t loop_for_ever(nc_request *req, void *user) {
    (void)req, (void)user;
    for (volatile unsigned i = 0;; i++) {
    }
}

int32_t fork_child(nc_request *req, void *user) {
    (void)user;
    pid_t child = fork();
    if (child < 0) return nc_fail(req, "cannot fork");
    if (child == 0) {
        for (;;) pause();
    }
    return reply_text(req, "%d", (int)child);
}

// If `user` is set, keeps the memory until the process ends.
int32_t allocate_mib(nc_request *req, void *user) {
    static _Atomic(char *) kept;
    char *text = body_text(req);
    size_t len = strtoull(text, NULL, 10) << 20;
    free(text);
    char *memory = malloc(len);
    if (memory == NULL) return nc_fail(req, "no memory");
    memset(memory, 1, len);
    int32_t rc = reply_text(req, "%d", memory[len / 2]);
    if (user != NULL) {
        /* The process has the last of these blocks, and no use for it. */
        (void)atomic_exchange(&kept, memory);
    } else {
        free(memory);
    }
    return rc;
}

int32_t print(nc_request *req, void *user) {
    (void)user;
    nc_bytes body = nc_request_body(req);
    fwrite(body.data, 1, body.len, stdout);
    fflush(stdout);
    return NC_OK;
}

int32_t print_long(nc_request *req, void *user) {
    (void)user;
    char *text = body_text(req);
    size_t len = strtoull(text, NULL, 10);
    free(text);
    char *line = malloc(len + 1);
    if (line == NULL) abort();
    memset(line, 'x', len);
    line[len] = '\n';
    fwrite(line, 1, len + 1, stdout);
    free(line);
    puts("after");
    fflush(stdout);
    return NC_OK;
}

int32_t append(nc_request *req, void *user) {
    (void)user;
    int fd = open(getenv("ORDER_FILE"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return nc_fail(req, "cannot open ORDER_FILE");
    char *text = body_text(req);
    size_t len = strlen(text);
    text[len] = '\n';
    ssize_t written = write(fd, text, len + 1);
    close(fd);
    free(text);
    return written == (ssize_t)len + 1 ? NC_OK : nc_fail(req, "cannot write ORDER_FILE");
}
