/*
 * Passes extensible structs of many sizes to every function of the C interface that takes one. With
 * LATER defined, the program is compiled against the header of tests/c/later, where each of them
 * has one more field, `later`. The library may be of either version. `structs threads NAME` serves
 * NAME by handlers, and `structs loop NAME` in an event loop. Both call Seen, which `structs seen`
 * serves. NAME answers with one line for each function that was tried, with the result for the
 * field:
 *
 *     nc_call_with: INVALID_ARGUMENT later is 7
 */
#include <nightcore.h>
#include <poll.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of bytes after all fields, including the one of the later version. */
#define BEYOND 64
/* A size above the largest accepted one. */
#define TOO_LARGE 4097
#define TIMEOUT_NS 5000000000u
#define TAG 7
/* The byte that fills memory which the library must not read or has not written. */
#define UNKNOWN 0xff

/* The sizes of the structs with the fields that both versions have. */
#ifdef LATER
#define KNOWN_OPTIONS offsetof(nc_call_options, later)
#define KNOWN_EVENT offsetof(nc_event, later)
#define KNOWN_TEST_REQUEST offsetof(nc_test_request, later)
#else
#define KNOWN_OPTIONS sizeof(nc_call_options)
#define KNOWN_EVENT sizeof(nc_event)
#define KNOWN_TEST_REQUEST sizeof(nc_test_request)
#endif

/* Sizes that every library accepts if all bytes after the fields that it knows are zero. */
static const size_t options_sizes[] = {NC_CALL_OPTIONS_MIN_SIZE, KNOWN_OPTIONS,
                                       sizeof(nc_call_options), sizeof(nc_call_options) + BEYOND};
static const size_t event_sizes[] = {NC_EVENT_MIN_SIZE, KNOWN_EVENT, sizeof(nc_event),
                                     sizeof(nc_event) + BEYOND};
static const size_t test_request_sizes[] = {NC_TEST_REQUEST_MIN_SIZE, KNOWN_TEST_REQUEST,
                                            sizeof(nc_test_request),
                                            sizeof(nc_test_request) + BEYOND};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Sizes that no library accepts. */
static const size_t options_refused[] = {0, NC_CALL_OPTIONS_MIN_SIZE - 1, TOO_LARGE};
static const size_t event_refused[] = {0, NC_EVENT_MIN_SIZE - 1, TOO_LARGE};
static const size_t test_request_refused[] = {0, NC_TEST_REQUEST_MIN_SIZE - 1, TOO_LARGE};

static _Noreturn void die(int line, const char *what) {
    fprintf(stderr, "structs.c:%d: this does not hold: %s\n", line, what);
    exit(3);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) die(__LINE__, #condition);                                               \
    } while (0)

/* The text with which a function answers. */
struct report {
    char text[2048];
};

static void add(struct report *report, const char *name, const char *status, const char *text) {
    const size_t used = strlen(report->text), room = sizeof report->text - used;
    CHECK((size_t)snprintf(report->text + used, room, "%s: %s %s\n", name, status, text) < room);
}

static int32_t reply(nc_request *req, const struct report *report) {
    nc_bytes body = {(const uint8_t *)report->text, strlen(report->text)};
    return nc_reply(req, body);
}

/* Returns memory of exactly this size, so that valgrind sees an access beyond it. */
static void *memory_of(size_t size, int fill) {
    size_t room = size < sizeof size ? sizeof size : size;
    void *memory = malloc(room);
    CHECK(memory != NULL);
    memset(memory, fill, room);
    memcpy(memory, &size, sizeof size);
    return memory;
}

/* Returns options for a call of Seen. All bytes after the fields of the first version are zero. */
static nc_call_options *options_of(size_t size) {
    static const nc_pair pair = {{(const uint8_t *)"kind", 4}, {(const uint8_t *)"test", 4}};
    const nc_call_options all = {.timeout_ns = TIMEOUT_NS, .metadata = &pair, .metadata_count = 1};
    const size_t end = size < NC_CALL_OPTIONS_MIN_SIZE ? size : NC_CALL_OPTIONS_MIN_SIZE;
    const size_t begin = offsetof(nc_call_options, timeout_ns);
    unsigned char *options = memory_of(size, 0);
    if (end > begin) memcpy(options + begin, (const unsigned char *)&all + begin, end - begin);
    return (nc_call_options *)(void *)options;
}

/* The answer of Seen if its caller's options have arrived. */
static const char arrived[] = "kind is test, in time";

static int32_t seen(nc_request *req, void *user) {
    (void)user;
    nc_bytes kind = {NULL, 0};
    nc_request_metadata(req, "kind", &kind);
    char text[100];
    snprintf(text, sizeof text, "kind is %.*s, %s", (int)kind.len, (const char *)kind.data,
             nc_request_time_left_ns(req) <= TIMEOUT_NS ? "in time" : "without a timeout");
    nc_bytes body = {(const uint8_t *)text, strlen(text)};
    return nc_reply(req, body);
}

static void check_arrived(const nc_answer *answer) {
    nc_bytes body = nc_answer_body(answer);
    CHECK(body.len == strlen(arrived) && memcmp(body.data, arrived, body.len) == 0);
}

/* The functions that take options. Each one ends its call and checks the answer. */

typedef int32_t call_fn(nc_request *req, const nc_call_options *options, nc_error **error);

static int32_t call_with(nc_request *req, const nc_call_options *options, nc_error **error) {
    nc_answer *answer = NULL;
    int32_t status = nc_call_with(req, "Seen", NULL, 0, options, &answer, error);
    if (status == NC_OK) check_arrived(answer);
    nc_answer_free(answer);
    return status;
}

static int32_t call_start(nc_request *req, const nc_call_options *options, nc_error **error) {
    nc_answer *answer = NULL;
    uint64_t tag = 0;
    int32_t status = nc_call_start(req, TAG, "Seen", NULL, 0, options, error);
    if (status != NC_OK) return status;
    CHECK(nc_next_answer(req, UINT64_MAX, &tag, &answer, NULL) == NC_OK && tag == TAG);
    check_arrived(answer);
    nc_answer_free(answer);
    return NC_OK;
}

static int32_t process_call(nc_request *req, const nc_call_options *options, nc_error **error) {
    (void)req;
    nc_answer *answer = NULL;
    int32_t status = nc_process_call("Seen", NULL, 0, options, &answer, error);
    if (status == NC_OK) check_arrived(answer);
    nc_answer_free(answer);
    return status;
}

static void process_call_ended(void *user, int32_t status, nc_answer *answer, nc_error *error) {
    CHECK(status == NC_OK && error == NULL);
    check_arrived(answer);
    nc_answer_free(answer);
    sem_post(user);
}

static int32_t process_call_start(nc_request *req, const nc_call_options *options,
                                  nc_error **error) {
    (void)req;
    sem_t has_ended;
    CHECK(sem_init(&has_ended, 0, 0) == 0);
    int32_t status = nc_process_call_start("Seen", NULL, 0, options, process_call_ended,
                                           &has_ended, NULL, error);
    if (status == NC_OK)
        while (sem_wait(&has_ended) != 0) {
        }
    sem_destroy(&has_ended);
    return status;
}

/* Begins a call. In an event loop the answer arrives as an event. */
static int32_t call_begin(nc_request *req, const nc_call_options *options, nc_error **error) {
    return nc_call_start(req, TAG, "Seen", NULL, 0, options, error);
}

static void refuse_options(nc_request *req, call_fn *call, nc_call_options *options) {
    nc_error *error = NULL;
    CHECK(call(req, options, &error) == NC_INVALID_ARGUMENT && error != NULL);
    nc_error_free(error);
    free(options);
}

static void accept_options(nc_request *req, call_fn *call, nc_call_options *options) {
    nc_error *error = NULL;
    int32_t status = call(req, options, &error);
    if (status != NC_OK) fprintf(stderr, "%s\n", nc_error_message(error));
    CHECK(status == NC_OK && error == NULL);
    free(options);
}

/* The number of calls that `try_options` begins. */
#define CALLS (COUNT(options_sizes))

/* Tries a function that takes options, and adds its line to the report. */
static void try_options(nc_request *req, const char *name, call_fn *call, struct report *report) {
    for (size_t i = 0; i < COUNT(options_refused); i++)
        refuse_options(req, call, options_of(options_refused[i]));
    for (size_t i = 0; i < COUNT(options_sizes); i++)
        accept_options(req, call, options_of(options_sizes[i]));
    /* The first and the last byte that this program does not know are set in turn. */
    const size_t size = sizeof(nc_call_options) + BEYOND;
    const size_t set[] = {sizeof(nc_call_options), size - 1};
    for (size_t i = 0; i < COUNT(set); i++) {
        nc_call_options *options = options_of(size);
        ((unsigned char *)options)[set[i]] = 1;
        refuse_options(req, call, options);
    }
#ifdef LATER
    nc_error *error = NULL;
    nc_call_options *options = options_of(sizeof(nc_call_options));
    options->later = 7;
    int32_t status = call(req, options, &error);
    add(report, name, nc_status_name(status), nc_error_message(error));
    nc_error_free(error);
    free(options);
#else
    add(report, name, "nothing", "to set");
#endif
}

/* Runs Seen with a request of a test, and frees the request. */
static int32_t test_run(nc_test_request *request, nc_error **error) {
    nc_answer *answer = NULL;
    int32_t status = nc_test_run(request, seen, NULL, &answer, error);
    if (status == NC_OK) {
        nc_bytes body = nc_answer_body(answer);
        const char expected[] = "kind is , without a timeout";
        CHECK(body.len == strlen(expected) && memcmp(body.data, expected, body.len) == 0);
    }
    nc_answer_free(answer);
    free(request);
    return status;
}

/* Tries nc_test_run, and adds its line to the report. */
static void try_test_request(struct report *report) {
    for (size_t i = 0; i < COUNT(test_request_refused); i++)
        CHECK(test_run(memory_of(test_request_refused[i], 0), NULL) == NC_INVALID_ARGUMENT);
    for (size_t i = 0; i < COUNT(test_request_sizes); i++)
        CHECK(test_run(memory_of(test_request_sizes[i], 0), NULL) == NC_OK);
    unsigned char *beyond = memory_of(sizeof(nc_test_request) + BEYOND, 0);
    beyond[sizeof(nc_test_request)] = 1;
    CHECK(test_run((nc_test_request *)(void *)beyond, NULL) == NC_INVALID_ARGUMENT);
#ifdef LATER
    nc_error *error = NULL;
    nc_test_request *request = memory_of(sizeof *request, 0);
    request->later = 7;
    int32_t status = test_run(request, &error);
    add(report, "nc_test_run", nc_status_name(status), nc_error_message(error));
    nc_error_free(error);
#else
    add(report, "nc_test_run", "nothing", "to set");
#endif
}

static int32_t threads(nc_request *req, void *user) {
    (void)user;
    struct report report = {""};
    try_options(req, "nc_call_with", call_with, &report);
    try_options(req, "nc_call_start", call_start, &report);
    try_options(req, "nc_process_call", process_call, &report);
    try_options(req, "nc_process_call_start", process_call_start, &report);
    try_test_request(&report);
    return reply(req, &report);
}

/* The functions of the event loop. */

/* The value of `later` in the events. It lies after the fields that both versions know. */
static uint64_t later;

/*
 * Waits for an event, and takes it by nc_worker_next_many, except for what only nc_worker_next
 * sees.
 */
static int32_t next_at_once(nc_worker *worker, nc_event *event) {
    struct pollfd ready = {.fd = nc_worker_fd(worker), .events = POLLIN};
    size_t count;
    int32_t status = nc_worker_next_many(worker, event, 1, &count);
    CHECK(count == (status == NC_OK));
    if (status != NC_AGAIN || poll(&ready, 1, -1) != 1) return status;
    status = nc_worker_next_many(worker, event, 1, &count);
    return status == NC_AGAIN ? nc_worker_next(worker, 0, event) : status;
}

/*
 * Waits for an event in memory of the next size. The caller frees the event. After all sizes were
 * used once, the memory has extra bytes for one round, so that a write beyond the size is seen
 * without valgrind.
 */
static nc_event *next_event(nc_worker *worker) {
    static size_t turn;
    const size_t size = event_sizes[turn % COUNT(event_sizes)];
    const size_t beyond = turn / COUNT(event_sizes) % 2 * BEYOND;
    /* In two rounds each size is used with both functions. */
    const bool at_once = (turn + turn / COUNT(event_sizes)) % 2 == 1;
    turn++;
    unsigned char *memory = memory_of(size + beyond, UNKNOWN);
    memcpy(memory, &size, sizeof size);
    nc_event *event = (nc_event *)(void *)memory;
    int32_t status;
    do status = at_once ? next_at_once(worker, event) : nc_worker_next(worker, UINT64_MAX, event);
    while (status == NC_AGAIN);
    CHECK(status == NC_OK && event->struct_size == size);
    if (size > KNOWN_EVENT) {
        memcpy(&later, memory + KNOWN_EVENT, sizeof later);
        for (size_t i = KNOWN_EVENT + sizeof later; i < size; i++) CHECK(memory[i] == 0);
    }
    for (size_t i = size; i < size + beyond; i++) CHECK(memory[i] == UNKNOWN);
    return event;
}

static void refuse_events(nc_worker *worker) {
    for (size_t i = 0; i < COUNT(event_refused); i++) {
        const size_t size = event_refused[i];
        unsigned char *memory = memory_of(size, UNKNOWN);
        nc_event *event = (nc_event *)(void *)memory;
        size_t count = 1;
        CHECK(nc_worker_next(worker, 0, event) == NC_INVALID_ARGUMENT);
        CHECK(nc_worker_next_many(worker, event, 1, &count) == NC_INVALID_ARGUMENT && count == 0);
        for (size_t at = sizeof size; at < size; at++) CHECK(memory[at] == UNKNOWN);
        free(memory);
    }
}

static int loop(const char *name) {
    nc_worker *worker = NULL;
    nc_error *error = NULL;
    if (nc_worker_open(&name, 1, &worker, &error) != NC_OK) {
        fprintf(stderr, "%s\n", nc_error_message(error));
        nc_error_free(error);
        return 2;
    }
    refuse_events(worker);
    nc_request *open = NULL;
    struct report report;
    size_t answers = 0;
    for (;;) {
        nc_event *event = next_event(worker);
        const uint32_t kind = event->kind;
        if (kind == NC_EVENT_REQUEST) {
            CHECK(open == NULL && event->request_number == nc_request_number(event->request));
            open = event->request;
            answers = 0;
            report.text[0] = '\0';
            try_options(open, "nc_call_start", call_begin, &report);
        } else if (kind == NC_EVENT_ANSWER) {
            CHECK(open != NULL && event->tag == TAG);
            CHECK(event->request_number == nc_request_number(open));
            CHECK(event->status == NC_OK && event->error == NULL);
            check_arrived(event->answer);
            nc_answer_free(event->answer);
            if (++answers == CALLS) {
                char value[32];
                snprintf(value, sizeof value, "%#llx", (unsigned long long)later);
                add(&report, "nc_worker_next", "gave", value);
                /* The field first came from nc_worker_next, and later from nc_worker_next_many. */
                add(&report, "nc_worker_next_many", "gave", value);
                CHECK(reply(open, &report) == NC_OK);
                nc_request_free(open);
                open = NULL;
            }
        }
        free(event);
        if (kind == NC_EVENT_ENDED) break;
    }
    nc_worker_free(worker);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "loop") == 0) return loop(arguments[2]);
    if (count == 3 && strcmp(arguments[1], "threads") == 0) nc_handle(arguments[2], threads, NULL);
    if (count == 2 && strcmp(arguments[1], "seen") == 0) nc_handle("Seen", seen, NULL);
    return nc_serve();
}
