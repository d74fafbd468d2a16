// Nightcore for C++17: handlers of functions that call each other. Header-only, over nightcore.h. See
// docs/cpp.md.
//
// Objects that own something are move-only and free it. What they hand out as std::string_view is borrowed
// and valid as long as the object it is asked of.

#ifndef NIGHTCORE_HPP
#define NIGHTCORE_HPP

#include "nightcore.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L && __has_include(<stop_token>)
#include <stop_token>
#endif

namespace nightcore {

// Pairs of a name and a value, in their order. Names are visible ASCII, and sent in lower case.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// An error of a function beneath the one that was called.
struct Cause {
    std::string function;
    std::int32_t status;
    std::string message;
};

namespace detail {

struct Free {
    void operator()(nc_answer *answer) const noexcept { nc_answer_free(answer); }
    void operator()(nc_error *error) const noexcept { nc_error_free(error); }
    void operator()(nc_buffer *buffer) const noexcept { nc_buffer_free(buffer); }
    void operator()(nc_watch *watch) const noexcept { nc_watch_free(watch); }
};

inline std::string_view view(nc_bytes bytes) noexcept {
    return {reinterpret_cast<const char *>(bytes.data), bytes.len};
}

inline nc_bytes lend(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t *>(text.data()), text.size()};
}

// The error FUNCTION_FAILED with this message; null if there is no memory for it.
inline nc_error *failure(const std::string &message) noexcept {
    nc_error *error = nullptr;
    nc_error_new(NC_FUNCTION_FAILED, nullptr, message.c_str(), &error);
    return error;
}

// The pairs that an array of the C interface points to: `texts` must outlive them.
inline std::vector<nc_pair> lend(const Metadata &texts) {
    std::vector<nc_pair> pairs;
    pairs.reserve(texts.size());
    for (const auto &[name, value] : texts) pairs.push_back({lend(name), lend(value)});
    return pairs;
}

} // namespace detail

// Why a call or an operation failed, or why a handler fails. A handler that does not catch the error of a call
// passes it on: its caller sees that this function failed, and that error and its causes as the reason.
class Error : public std::exception {
public:
    // A failure of the handler's own, to throw: callers get FUNCTION_FAILED with this message.
    explicit Error(const std::string &message) : Error(NC_FUNCTION_FAILED, detail::failure(message)) {}

    // Takes `error`, which may be null.
    Error(std::int32_t status, nc_error *error) : state_(std::make_shared<State>()) {
        state_->error.reset(error);
        state_->status = status;
        state_->what = nc_status_name(status);
        if (error == nullptr) return;
        const std::string function = nc_error_function(error);
        if (!function.empty()) state_->what = function + ": " + state_->what;
        state_->what += std::string(": ") + nc_error_message(error);
    }

    // A failure of the library's own, which has no object of the C interface.
    Error(std::int32_t status, const std::string &message) : Error(status, nullptr) {
        state_->message = message;
        state_->what += ": " + message;
    }

    // One of NC_NOT_FOUND, ...
    std::int32_t status() const noexcept { return state_->status; }
    // "NOT_FOUND", ...
    const char *status_name() const noexcept { return nc_status_name(state_->status); }
    // The function whose call failed; empty if the error is the library's own.
    std::string_view function() const noexcept { return nc_error_function(state_->error.get()); }
    // What happened, for a person.
    std::string_view message() const noexcept {
        return state_->error ? std::string_view(nc_error_message(state_->error.get())) : state_->message;
    }

    // The errors of functions beneath that led to it, the nearest first.
    std::vector<Cause> causes() const {
        std::vector<Cause> causes;
        const nc_error *error = state_->error.get();
        for (std::size_t i = 0; i < nc_error_cause_count(error); i++) {
            const nc_error *cause = nc_error_cause_at(error, i);
            causes.push_back({nc_error_function(cause), nc_error_status(cause), nc_error_message(cause)});
        }
        return causes;
    }

    // Function, status and message in one line.
    const char *what() const noexcept override { return state_->what.c_str(); }

    // The object of the C interface; null if there is none.
    const nc_error *raw() const noexcept { return state_->error.get(); }

private:
    struct State {
        std::unique_ptr<nc_error, detail::Free> error;
        std::int32_t status = NC_INTERNAL;
        std::string what;
        std::string message;
    };
    // Shared, as copying an exception must not throw.
    std::shared_ptr<State> state_;
};

namespace detail {

inline void check(std::int32_t status, nc_error *error = nullptr) {
    if (status != NC_OK) throw Error(status, error);
}

} // namespace detail

// The answer to an internal call.
class Answer {
public:
    // Takes an answer of the C interface.
    explicit Answer(nc_answer *answer = nullptr) noexcept : answer_(answer) {}

    std::string_view body() const noexcept { return detail::view(nc_answer_body(answer_.get())); }
    std::string str() const { return std::string(body()); }
    operator std::string() const { return str(); }

    // The HTTP status that the function chose; 200 if it chose none.
    int status() const noexcept { return static_cast<int>(nc_answer_status(answer_.get())); }

    // The first value of this name.
    std::optional<std::string_view> metadata(const std::string &name) const {
        nc_bytes value;
        if (nc_answer_metadata(answer_.get(), name.c_str(), &value) != NC_OK) return std::nullopt;
        return detail::view(value);
    }

    Metadata metadata() const {
        Metadata all;
        nc_pair pair;
        for (std::size_t i = 0; nc_answer_metadata_at(answer_.get(), i, &pair) == NC_OK; i++)
            all.emplace_back(detail::view(pair.name), detail::view(pair.value));
        return all;
    }

    const nc_answer *raw() const noexcept { return answer_.get(); }

private:
    std::unique_ptr<nc_answer, detail::Free> answer_;
};

// An answer with more than a body. Metadata named ":status" is what `status` says.
struct Reply {
    std::string body = {};
    int status = 200;
    Metadata metadata = {};
};

// Memory that the engine can read: a large answer that is made in it and returned is sent without a copy.
class Buffer {
public:
    explicit Buffer(nc_buffer *buffer) noexcept : buffer_(buffer), size_(nc_buffer_capacity(buffer)) {}

    char *data() noexcept { return reinterpret_cast<char *>(nc_buffer_data(buffer_.get())); }
    std::size_t capacity() const noexcept { return nc_buffer_capacity(buffer_.get()); }
    // How many of its bytes are the answer; all, unless `resize` says less.
    std::size_t size() const noexcept { return size_; }
    void resize(std::size_t size) noexcept { size_ = size < capacity() ? size : capacity(); }

    nc_buffer *release() noexcept { return buffer_.release(); }

private:
    std::unique_ptr<nc_buffer, detail::Free> buffer_;
    std::size_t size_;
};

// What may be said about an internal call beside its body.
struct CallOptions {
    // Ends the call if it takes longer; zero for no limit but the request's own deadline, which always
    // holds. A negative one is NC_INVALID_ARGUMENT.
    std::chrono::nanoseconds timeout{0};
    Metadata metadata = {};
};

// What became of a call that was begun by Request::start_call.
struct Tagged {
    std::uint64_t tag = 0;
    std::optional<Error> error = {};
    Answer answer_or_empty = Answer();

    // The answer; throws the error if there is none.
    Answer &answer() {
        if (error) throw *error;
        return answer_or_empty;
    }
};

namespace detail {

template <class T, class = void> struct IsContainerOfBytes : std::false_type {};
template <class T>
struct IsContainerOfBytes<T, std::void_t<decltype(std::data(std::declval<const T &>())),
                                         decltype(std::size(std::declval<const T &>()))>>
    : std::bool_constant<sizeof(*std::data(std::declval<const T &>())) == 1> {};

// Bytes of anything that has some: texts, answers, and containers of bytes.
template <class T> nc_bytes bytes(const T &value) {
    if constexpr (std::is_same_v<T, Answer>) {
        return nc_answer_body(value.raw());
    } else if constexpr (std::is_convertible_v<const T &, std::string_view>) {
        return lend(std::string_view(value));
    } else if constexpr (IsContainerOfBytes<T>::value) {
        return {reinterpret_cast<const std::uint8_t *>(std::data(value)), std::size(value)};
    } else {
        static_assert(IsContainerOfBytes<T>::value,
                      "a body, and what a handler returns, is text or a container of bytes; a handler may also "
                      "return an Answer, a Reply, a Buffer or nothing");
        return {};
    }
}

// A name for the C interface, to which a zero would be its end.
inline const char *callee(const std::string &name) {
    if (name.find('\0') != std::string::npos) throw Error(NC_NOT_FOUND, "a name of a function has no zero byte");
    return name.c_str();
}

// Options of the C interface, with the memory they point to.
class Options {
public:
    explicit Options(const CallOptions &options) : pairs_(lend(options.metadata)) {
        raw_.struct_size = sizeof raw_;
        const auto timeout = options.timeout.count();
        if (timeout < 0) throw Error(NC_INVALID_ARGUMENT, "a timeout must be more than 0");
        if (timeout > 0) raw_.timeout_ns = static_cast<std::uint64_t>(timeout);
        raw_.metadata = pairs_.data();
        raw_.metadata_count = pairs_.size();
    }
    Options(const Options &) = delete;
    Options &operator=(const Options &) = delete;

    const nc_call_options *raw() const noexcept { return &raw_; }

private:
    std::vector<nc_pair> pairs_;
    nc_call_options raw_ = {};
};

} // namespace detail

// Code that runs if a request is cancelled, for as long as this lives and the handler runs; see
// Request::on_cancel. When it is destroyed its code does not run any more: if it runs at that moment on another
// thread, its end is waited for.
class OnCancel {
public:
    OnCancel() noexcept = default;

    template <class F> OnCancel(nc_request *request, F &&run) {
        using Run = std::decay_t<F>;
        static_assert(std::is_invocable_v<Run &>, "code that runs on cancellation takes no arguments");
        auto kept = std::make_shared<Run>(std::forward<F>(run));
        nc_watch *watch = nullptr;
        // What it throws ends the program, as nobody could catch it.
        const auto call = [](void *user) noexcept { (*static_cast<Run *>(user))(); };
        detail::check(nc_request_on_cancel(request, call, kept.get(), &watch));
        run_ = std::move(kept);
        watch_.reset(watch);
    }

    OnCancel(OnCancel &&) noexcept = default;
    OnCancel &operator=(OnCancel &&other) noexcept {
        // The watch first: its code must not run any more when that goes.
        watch_ = std::move(other.watch_);
        run_ = std::move(other.run_);
        return *this;
    }

private:
    std::shared_ptr<void> run_;
    // Below what it uses, as it is destroyed first.
    std::unique_ptr<nc_watch, detail::Free> watch_;
};

// A call that a handler runs. Valid until the handler returns, and for its thread.
class Request {
public:
    explicit Request(nc_request *request) noexcept : request_(request) {}
    Request(const Request &) = delete;
    Request &operator=(const Request &) = delete;

    std::string_view body() const noexcept { return detail::view(nc_request_body(request_)); }
    // The function that was called, which is the one this process runs.
    std::string_view function() const noexcept { return detail::view(nc_request_function(request_)); }
    // Whether another function made the call; if not, it came in by the gateway.
    bool is_internal() const noexcept { return nc_request_is_internal(request_); }
    // The function that made the call; empty if it came in by the gateway.
    std::string_view caller() const noexcept { return detail::view(nc_request_caller(request_)); }

    // The id of the call, 16 hexadecimal digits, which all calls below it have as well; its client has it in the
    // header X-Nightcore-Call.
    std::string_view id() const noexcept { return nc_request_call_id(request_); }

    // The first value of this name.
    std::optional<std::string_view> metadata(const std::string &name) const {
        nc_bytes value;
        if (nc_request_metadata(request_, name.c_str(), &value) != NC_OK) return std::nullopt;
        return detail::view(value);
    }

    Metadata metadata() const {
        Metadata all;
        nc_pair pair;
        for (std::size_t i = 0; nc_request_metadata_at(request_, i, &pair) == NC_OK; i++)
            all.emplace_back(detail::view(pair.name), detail::view(pair.value));
        return all;
    }

    // The time left until the deadline: zero when it has passed, nothing if there is none.
    std::optional<std::chrono::nanoseconds> time_left() const noexcept {
        constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
        const std::uint64_t left = nc_request_time_left_ns(request_);
        if (left == UINT64_MAX) return std::nullopt;
        return std::chrono::nanoseconds(static_cast<std::int64_t>(left < most ? left : most));
    }

    // Writes a text to standard error, from where it comes to the function's log, each of its lines with the id of the call.
    // Throws Error.
    void log(const std::string &text) const { detail::check(nc_log(request_, text.c_str())); }

    // Whether nobody waits for the answer any more; cheap enough for a loop.
    bool cancelled() const noexcept { return nc_request_cancelled(request_); }

    // Why nobody waits for the answer any more: NC_DEADLINE_EXCEEDED or NC_CANCELLED; NC_OK while somebody waits.
    std::int32_t cancel_reason() const noexcept { return nc_request_cancel_reason(request_); }

    // Has `run` called once when nobody waits for the answer any more; until the object that is returned is
    // destroyed, or the handler returns. It is called some milliseconds later on a thread of the library's, which
    // calls all such code of the process, one after the other; or here and now if the request is cancelled
    // already. So it may run while the handler does: it should be short, must not throw, and may use of the request
    // what only reads. Throws Error.
    template <class F> [[nodiscard]] OnCancel on_cancel(F &&run) {
        return OnCancel(request_, std::forward<F>(run));
    }

#ifdef __cpp_lib_jthread
    // A token for which stop is requested when nobody waits for the answer any more, and whose callbacks run as code of
    // on_cancel does. It may outlive the request. Throws Error. C++20.
    std::stop_token stop_token() {
        if (!stopping_) {
            auto source = std::make_shared<std::stop_source>();
            stopping_watch_ = on_cancel([source] { source->request_stop(); });
            stopping_ = source;
        }
        return static_cast<std::stop_source *>(stopping_.get())->get_token();
    }
#endif

    // Calls a function with a body of these parts, one after the other, and waits for its answer. Throws
    // Error.
    template <class... Parts> Answer call(const std::string &name, const Parts &...parts) {
        return call_raw(name, nullptr, parts...);
    }

    template <class... Parts>
    Answer call_with(const CallOptions &options, const std::string &name, const Parts &...parts) {
        return call_raw(name, detail::Options(options).raw(), parts...);
    }

    // Calls a function without waiting; next_answer brings its answer with this tag. Throws Error.
    template <class... Parts>
    void start_call(std::uint64_t tag, const std::string &name, const Parts &...parts) {
        start_raw(tag, name, nullptr, parts...);
    }

    template <class... Parts>
    void start_call_with(const CallOptions &options, std::uint64_t tag, const std::string &name,
                         const Parts &...parts) {
        start_raw(tag, name, detail::Options(options).raw(), parts...);
    }

    // The next answer to a call that was started, in the order they arrive. Throws Error if none is under
    // way.
    Tagged next_answer() { return std::move(*next_raw(UINT64_MAX)); }

    // The same; nothing if none comes in time.
    std::optional<Tagged> next_answer(std::chrono::nanoseconds timeout) {
        return next_raw(timeout.count() > 0 ? static_cast<std::uint64_t>(timeout.count()) : 0);
    }

    // Memory for a large answer, see Buffer. Throws Error.
    Buffer buffer(std::size_t capacity) {
        nc_buffer *buffer = nullptr;
        detail::check(nc_buffer_new(request_, capacity, &buffer));
        return Buffer(buffer);
    }

    // The object of the C interface.
    nc_request *raw() const noexcept { return request_; }

private:
    template <class... Parts>
    Answer call_raw(const std::string &name, const nc_call_options *options, const Parts &...parts) {
        const std::array<nc_bytes, sizeof...(Parts)> body = {detail::bytes(parts)...};
        nc_answer *answer = nullptr;
        nc_error *error = nullptr;
        const std::int32_t status =
            nc_call_with(request_, detail::callee(name), body.data(), body.size(), options, &answer, &error);
        detail::check(status, error);
        return Answer(answer);
    }

    template <class... Parts>
    void start_raw(std::uint64_t tag, const std::string &name, const nc_call_options *options,
                   const Parts &...parts) {
        const std::array<nc_bytes, sizeof...(Parts)> body = {detail::bytes(parts)...};
        nc_error *error = nullptr;
        const std::int32_t status =
            nc_call_start(request_, tag, detail::callee(name), body.data(), body.size(), options, &error);
        detail::check(status, error);
    }

    std::optional<Tagged> next_raw(std::uint64_t timeout_ns) {
        Tagged tagged;
        nc_answer *answer = nullptr;
        nc_error *error = nullptr;
        const std::int32_t status = nc_next_answer(request_, timeout_ns, &tagged.tag, &answer, &error);
        if (status == NC_AGAIN) return std::nullopt;
        if (status >= NC_INVALID_ARGUMENT) throw Error(status, error);
        if (status != NC_OK) tagged.error.emplace(status, error);
        tagged.answer_or_empty = Answer(answer);
        return tagged;
    }

    nc_request *request_;
    // A std::stop_source, if somebody has asked for a token. There in C++17 as well, so that all programs agree on what
    // a request is.
    std::shared_ptr<void> stopping_;
    OnCancel stopping_watch_;
};

namespace detail {

inline std::int32_t reply(nc_request *request, const nc_bytes &body, int status, const Metadata &metadata) {
    std::vector<nc_pair> pairs = lend(metadata);
    const std::string text = std::to_string(status);
    if (status != 200) pairs.insert(pairs.begin(), nc_pair{lend(":status"), lend(text)});
    return nc_reply_with(request, &body, 1, pairs.data(), pairs.size());
}

// Answers with what a handler returned.
template <class T> std::int32_t answer(nc_request *request, T value) {
    if constexpr (std::is_same_v<T, Answer>) {
        // Handed on whole; its ":status" is in its metadata.
        return reply(request, bytes(value), 200, value.metadata());
    } else if constexpr (std::is_same_v<T, Reply>) {
        return reply(request, bytes(value.body), value.status, value.metadata);
    } else if constexpr (std::is_same_v<T, Buffer>) {
        const std::size_t size = value.size();
        return nc_reply_buffer(request, value.release(), size, nullptr, 0);
    } else {
        return nc_reply(request, bytes(value));
    }
}

// A call outside of any request.
template <class... Parts>
Answer process_call(const std::string &name, const nc_call_options *options, const Parts &...parts) {
    const std::array<nc_bytes, sizeof...(Parts)> body = {bytes(parts)...};
    nc_answer *answer = nullptr;
    nc_error *error = nullptr;
    const std::int32_t status =
        nc_process_call(callee(name), body.data(), body.size(), options, &answer, &error);
    check(status, error);
    return Answer(answer);
}

// Fails the call for an exception whose text was not written for callers.
inline std::int32_t fail(nc_request *request, const char *message) noexcept {
    return nc_fail_unexpectedly(request, message) == NC_OK ? NC_OK : NC_FUNCTION_FAILED;
}

// What the C interface calls: no exception leaves it.
template <class F> std::int32_t run(nc_request *request, void *user) noexcept {
    F &handler = *static_cast<F *>(user);
    try {
        Request req(request);
        if constexpr (std::is_void_v<std::invoke_result_t<F &, Request &>>) {
            handler(req);
            return NC_OK;
        } else {
            return answer(request, handler(req));
        }
    } catch (const Error &error) {
        if (error.raw() != nullptr) return nc_pass_on(request, error.raw());
        // It failed before it came to the library; or else the library itself still knows what failed last.
        return error.message().empty() ? error.status() : nc_fail(request, error.what());
    } catch (const std::exception &error) {
        return fail(request, error.what());
    } catch (...) {
        return fail(request, "unknown exception");
    }
}

} // namespace detail

// Registers the handler of a function. `handler` is called with a Request &, on several threads at once. It
// may return an Answer, which is handed on whole, a text or a container of bytes, a Reply, a Buffer, or
// nothing. An Error that it does not catch is passed on. Any other exception fails the call with FUNCTION_FAILED;
// its text goes to the function's log, and to callers only with `expose_errors = true`. Throws Error if the name is
// not one, or has a handler already.
template <class F> void handle(const std::string &name, F &&handler) {
    using Handler = std::decay_t<F>;
    static_assert(std::is_invocable_v<Handler &, Request &>, "a handler takes a nightcore::Request &");
    auto kept = std::make_unique<Handler>(std::forward<F>(handler));
    detail::check(nc_handle(name.c_str(), &detail::run<Handler>, kept.get()));
    // Handlers live as long as the process.
    static_cast<void>(kept.release());
}

// Calls a function outside of any request, from any thread of a process that serves, and waits for its answer: see
// nc_process_call. Throws Error.
template <class... Parts> Answer call(const std::string &name, const Parts &...parts) {
    return detail::process_call(name, nullptr, parts...);
}

template <class... Parts>
Answer call_with(const CallOptions &options, const std::string &name, const Parts &...parts) {
    return detail::process_call(name, detail::Options(options).raw(), parts...);
}

// Serves until the engine ends this process; see nc_serve. Answers the exit code for main.
inline int serve() { return nc_serve(); }

} // namespace nightcore

#endif // NIGHTCORE_HPP
