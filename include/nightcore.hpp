// Nightcore for C++17: handlers of functions that call each other. Header-only, over nightcore.h.
// docs/cpp.md shows how to use it; nightcore_testing.hpp tests handlers without an engine.
//
// A std::string_view that an object returns is borrowed: it is valid as long as the object.

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

// Ordered pairs of a name and a value. Names are visible ASCII; the library sends them in lower
// case.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// The error of a called function that led to another error.
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

// Returns the error FUNCTION_FAILED with this message, or null if there is no memory for it.
inline nc_error *failure(const std::string &message) noexcept {
    nc_error *error = nullptr;
    nc_error_new(NC_FUNCTION_FAILED, nullptr, message.c_str(), &error);
    return error;
}

// Returns the pairs for the C interface, which point into `texts`.
inline std::vector<nc_pair> lend(const Metadata &texts) {
    std::vector<nc_pair> pairs;
    pairs.reserve(texts.size());
    for (const auto &[name, value] : texts) pairs.push_back({lend(name), lend(value)});
    return pairs;
}

} // namespace detail

// The reason why a call or an operation failed, or why a handler fails.
//
// If a handler does not catch the error of a call, its caller sees that this function failed, with
// that error and its causes as the reason. Copies share their state.
class Error : public std::exception {
public:
    // Creates an error for a handler to throw: callers get FUNCTION_FAILED with this message.
    explicit Error(const std::string &message)
        : Error(NC_FUNCTION_FAILED, detail::failure(message)) {}

    // Takes ownership of `error`, which may be null.
    Error(std::int32_t status, nc_error *error) : state_(std::make_shared<State>()) {
        state_->error.reset(error);
        state_->status = status;
        state_->what = nc_status_name(status);
        if (error == nullptr) return;
        const std::string function = nc_error_function(error);
        if (!function.empty()) state_->what = function + ": " + state_->what;
        state_->what += std::string(": ") + nc_error_message(error);
    }

    // Creates an error of this header itself, which has no object of the C interface.
    Error(std::int32_t status, const std::string &message) : Error(status, nullptr) {
        state_->message = message;
        state_->what += ": " + message;
    }

    // The status, such as NC_NOT_FOUND.
    std::int32_t status() const noexcept { return state_->status; }
    // The name of the status, such as "NOT_FOUND".
    const char *status_name() const noexcept { return nc_status_name(state_->status); }
    // The function whose call failed; empty if the library itself reports the error.
    std::string_view function() const noexcept { return nc_error_function(state_->error.get()); }
    // A human-readable description of the failure.
    std::string_view message() const noexcept {
        if (!state_->error) return state_->message;
        return nc_error_message(state_->error.get());
    }

    // The errors of called functions that led to this one, the nearest first.
    std::vector<Cause> causes() const {
        std::vector<Cause> causes;
        const nc_error *error = state_->error.get();
        for (std::size_t i = 0; i < nc_error_cause_count(error); i++) {
            const nc_error *cause = nc_error_cause_at(error, i);
            causes.push_back(
                {nc_error_function(cause), nc_error_status(cause), nc_error_message(cause)});
        }
        return causes;
    }

    // The function, the status and the message in one line.
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
    // The state is shared, because copying an exception must not throw.
    std::shared_ptr<State> state_;
};

namespace detail {

inline void check(std::int32_t status, nc_error *error = nullptr) {
    if (status != NC_OK) throw Error(status, error);
}

} // namespace detail

// The answer to a call. Copies share it.
class Answer {
public:
    // Creates an empty answer.
    Answer() noexcept = default;
    // Takes ownership of an answer of the C interface. `function` is the function that gave it.
    explicit Answer(nc_answer *answer, std::string function = {})
        : answer_(answer, detail::Free()), function_(std::move(function)) {}

    std::string_view body() const noexcept { return detail::view(nc_answer_body(raw())); }
    // Returns a copy of the body.
    std::string str() const { return std::string(body()); }
    explicit operator std::string() const { return str(); }

    // The HTTP status that the function chose, or 200 if it chose none. The call has succeeded
    // whatever the HTTP status is.
    int http_status() const noexcept { return static_cast<int>(nc_answer_http_status(raw())); }
    [[deprecated("use http_status")]] int status() const noexcept { return http_status(); }

    // Throws AnswerError if the HTTP status is 400 or more; otherwise returns this answer.
    const Answer &throw_for_status() const &;
    Answer throw_for_status() &&;

    // Returns the first value with this name.
    std::optional<std::string_view> metadata(const std::string &name) const {
        nc_bytes value;
        if (nc_answer_metadata(raw(), name.c_str(), &value) != NC_OK) return std::nullopt;
        return detail::view(value);
    }

    Metadata metadata() const {
        Metadata all;
        nc_pair pair;
        for (std::size_t i = 0; nc_answer_metadata_at(raw(), i, &pair) == NC_OK; i++)
            all.emplace_back(detail::view(pair.name), detail::view(pair.value));
        return all;
    }

    // The object of the C interface; null for an empty answer.
    const nc_answer *raw() const noexcept { return answer_.get(); }

private:
    friend class AnswerError;

    std::shared_ptr<nc_answer> answer_;
    std::string function_;
};

// The error of an answer with an HTTP status of 400 or more. If a handler does not catch it, its
// caller sees that this function failed, with FUNCTION_FAILED of the called function as the reason.
class AnswerError : public Error {
public:
    explicit AnswerError(const Answer &answer)
        : Error(NC_FUNCTION_FAILED, failure(answer)), answer_(std::make_shared<Answer>(answer)) {}

    const Answer &answer() const noexcept { return *answer_; }

private:
    static nc_error *failure(const Answer &answer) noexcept {
        nc_error *error = nullptr;
        nc_answer_check(nullptr, answer.function_.c_str(), answer.raw(), &error);
        return error;
    }

    std::shared_ptr<const Answer> answer_;
};

inline const Answer &Answer::throw_for_status() const & {
    if (http_status() >= 400) throw AnswerError(*this);
    return *this;
}

inline Answer Answer::throw_for_status() && {
    if (http_status() >= 400) throw AnswerError(*this);
    return std::move(*this);
}

// A reply with an HTTP status, from 200 to 599, and metadata. A pair ":status" in the metadata,
// such as that of a received answer, is left out: `http_status` takes precedence.
struct Reply {
    std::string body = {};
    int http_status = 200;
    Metadata metadata = {};
};

// Returns a reply with this JSON text and the content type application/json.
inline Reply json_reply(std::string text, int http_status = 200) {
    return {std::move(text), http_status, {{"content-type", "application/json"}}};
}

namespace detail {

// Throws Error if a reply must not have this HTTP status.
inline void check_http_status(int http_status, int first) {
    if (http_status >= first && http_status <= 599) return;
    throw Error(NC_INVALID_ARGUMENT, "an HTTP status is from " + std::to_string(first) +
                                         " to 599, not " + std::to_string(http_status));
}

} // namespace detail

// Ends a request with a reply of an HTTP status from 400 to 599. The call succeeds, and nothing is
// written to the log: `throw nightcore::HttpError(404, "no such user");`.
class HttpError : public std::exception {
public:
    // Replies with a text of the content type text/plain. Throws Error if the HTTP status is not
    // from 400 to 599.
    HttpError(int http_status, std::string text)
        : HttpError(text_reply(http_status, std::move(text))) {}

    // Replies with any body and metadata. Throws Error if the HTTP status is not from 400 to 599.
    explicit HttpError(Reply reply) : reply_(std::make_shared<Reply>(std::move(reply))) {
        detail::check_http_status(reply_->http_status, 400);
    }

    const Reply &reply() const noexcept { return *reply_; }
    int http_status() const noexcept { return reply_->http_status; }

    // The body of the reply.
    const char *what() const noexcept override { return reply_->body.c_str(); }

private:
    static Reply text_reply(int http_status, std::string text) {
        return {std::move(text), http_status, {{"content-type", "text/plain; charset=utf-8"}}};
    }

    // The reply is shared, because copying an exception must not throw.
    std::shared_ptr<const Reply> reply_;
};

// Memory that the engine can read. If a handler builds a large body in a buffer and returns it, the
// library sends the body without a copy.
class Buffer {
public:
    // Takes ownership of a buffer of the C interface.
    explicit Buffer(nc_buffer *buffer) noexcept
        : buffer_(buffer), size_(nc_buffer_capacity(buffer)) {}

    char *data() noexcept { return reinterpret_cast<char *>(nc_buffer_data(buffer_.get())); }
    std::size_t capacity() const noexcept { return nc_buffer_capacity(buffer_.get()); }
    // The number of bytes to send: the capacity, unless `resize` has reduced it.
    std::size_t size() const noexcept { return size_; }
    void resize(std::size_t size) noexcept { size_ = size < capacity() ? size : capacity(); }

    // Returns the buffer of the C interface and gives up its ownership.
    nc_buffer *release() noexcept { return buffer_.release(); }

private:
    std::unique_ptr<nc_buffer, detail::Free> buffer_;
    std::size_t size_;
};

// Options of a call.
struct CallOptions {
    // The longest time that the call may take; zero for no limit. The deadline of the request
    // applies in any case. A call with a negative timeout throws NC_INVALID_ARGUMENT.
    std::chrono::nanoseconds timeout{0};
    Metadata metadata = {};
};

// The outcome of a call that Request::start_call started, with its tag.
class Tagged {
public:
    std::uint64_t tag = 0;
    // The reason why there is no answer.
    std::optional<Error> error = {};

    // Returns the answer. Throws `error` if the call failed.
    const Answer &answer() const & {
        if (error) throw *error;
        return answer_;
    }
    Answer answer() && {
        if (error) throw *error;
        return std::move(answer_);
    }

private:
    friend class Request;

    Answer answer_;
};

namespace detail {

template <class T, class = void> struct IsContainerOfBytes : std::false_type {};
template <class T>
struct IsContainerOfBytes<T, std::void_t<decltype(std::data(std::declval<const T &>())),
                                         decltype(std::size(std::declval<const T &>()))>>
    : std::bool_constant<sizeof(*std::data(std::declval<const T &>())) == 1> {};

// Returns the bytes of a text, an answer or a container of bytes.
template <class T> nc_bytes bytes(const T &value) {
    if constexpr (std::is_same_v<T, Answer>) {
        return nc_answer_body(value.raw());
    } else if constexpr (std::is_convertible_v<const T &, std::string_view>) {
        return lend(std::string_view(value));
    } else if constexpr (IsContainerOfBytes<T>::value) {
        return {reinterpret_cast<const std::uint8_t *>(std::data(value)), std::size(value)};
    } else {
        static_assert(IsContainerOfBytes<T>::value,
                      "a body, and what a handler returns, is text or a container of bytes; a "
                      "handler may also return an Answer, a Reply, a Buffer or nothing");
        return {};
    }
}

// Returns a name for the C interface. Throws Error if it has a zero byte, which would end the name.
inline const char *callee(const std::string &name) {
    if (name.find('\0') != std::string::npos)
        throw Error(NC_NOT_FOUND, "a name of a function has no zero byte");
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

// The registration of a callback that runs when a request is cancelled; see Request::on_cancel. The
// destructor waits if the callback is running on another thread. Afterwards the callback does not
// run any more.
class OnCancel {
public:
    OnCancel() noexcept = default;

    template <class F> OnCancel(nc_request *request, F &&run) {
        using Run = std::decay_t<F>;
        static_assert(std::is_invocable_v<Run &>,
                      "code that runs on cancellation takes no arguments");
        auto kept = std::make_shared<Run>(std::forward<F>(run));
        nc_watch *watch = nullptr;
        // An exception ends the program, because nobody could catch it.
        const auto call = [](void *user) noexcept { (*static_cast<Run *>(user))(); };
        detail::check(nc_request_on_cancel(request, call, kept.get(), &watch));
        run_ = std::move(kept);
        watch_.reset(watch);
    }

    OnCancel(OnCancel &&) noexcept = default;
    OnCancel &operator=(OnCancel &&other) noexcept {
        // The watch is moved first: the callback must not run any more when it is destroyed.
        watch_ = std::move(other.watch_);
        run_ = std::move(other.run_);
        return *this;
    }

private:
    std::shared_ptr<void> run_;
    // The watch uses `run_`. It is declared after it, and so destroyed first.
    std::unique_ptr<nc_watch, detail::Free> watch_;
};

// The request that a handler serves. It is valid until the handler returns, on its thread only.
class Request {
public:
    // Borrows a request of the C interface.
    explicit Request(nc_request *request) noexcept : request_(request) {}
    Request(const Request &) = delete;
    Request &operator=(const Request &) = delete;

    std::string_view body() const noexcept { return detail::view(nc_request_body(request_)); }
    // The function that was called.
    std::string_view function() const noexcept {
        return detail::view(nc_request_function(request_));
    }
    // True if another function made the call, false if it came through the gateway.
    bool is_internal() const noexcept { return nc_request_is_internal(request_); }
    // The function that made the call; empty if the call came through the gateway.
    std::string_view caller() const noexcept { return detail::view(nc_request_caller(request_)); }

    // The call id: 16 hexadecimal digits. A call from outside and all calls below it share one; the
    // client gets it in the header X-Nightcore-Call.
    std::string_view id() const noexcept { return nc_request_call_id(request_); }

    // Returns the first value with this name.
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

    // The time left until the deadline: zero if it has passed, nullopt if there is no deadline.
    std::optional<std::chrono::nanoseconds> time_left() const noexcept {
        constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
        const std::uint64_t left = nc_request_time_left_ns(request_);
        if (left == UINT64_MAX) return std::nullopt;
        return std::chrono::nanoseconds(static_cast<std::int64_t>(left < most ? left : most));
    }

    // Writes a text to standard error. Each of its lines reaches the function's log with the call
    // id. Throws Error.
    void log(const std::string &text) const { detail::check(nc_log(request_, text.c_str())); }

    // True if the request is cancelled: nobody waits for its reply any more, because the caller has
    // left or the deadline has passed. It costs one load from memory.
    bool cancelled() const noexcept { return nc_request_cancelled(request_); }

    // The reason why the request is cancelled: NC_DEADLINE_EXCEEDED if the deadline has passed,
    // NC_CANCELLED if the caller has left, NC_OK if it is not cancelled.
    std::int32_t cancel_reason() const noexcept { return nc_request_cancel_reason(request_); }

    // Registers a callback that runs once when the request is cancelled, until the returned object
    // is destroyed or the handler returns. The callback runs a few milliseconds after the
    // cancellation, on a thread of the library that runs all such callbacks of the process one
    // after the other; if the request is cancelled already it runs at once, on this thread. It may
    // run at the same time as the handler. It should be short, must not throw, and may only read
    // from the request. Throws Error.
    template <class F> [[nodiscard]] OnCancel on_cancel(F &&run) {
        return OnCancel(request_, std::forward<F>(run));
    }

#ifdef __cpp_lib_jthread
    // Returns a token on which stop is requested when the request is cancelled. Its callbacks run
    // as those of on_cancel do. The token may outlive the request. Throws Error. Needs C++20.
    std::stop_token stop_token() {
        if (!stopping_) {
            auto source = std::make_shared<std::stop_source>();
            stopping_watch_ = on_cancel([source] { source->request_stop(); });
            stopping_ = source;
        }
        return static_cast<std::stop_source *>(stopping_.get())->get_token();
    }
#endif

    // Calls a function and waits for its answer. The body is all parts, one after the other. Throws
    // Error if the call fails; an answer is not a failure, whatever its HTTP status is.
    template <class... Parts> Answer call(const std::string &name, const Parts &...parts) {
        return call_raw(name, nullptr, parts...);
    }

    // Does the same with options: `req.call("Bar", {50ms}, body)`.
    template <class... Parts>
    Answer call(const std::string &name, const CallOptions &options, const Parts &...parts) {
        return call_raw(name, detail::Options(options).raw(), parts...);
    }

    template <class... Parts>
    [[deprecated("use call(name, options, parts...)")]] Answer
    call_with(const CallOptions &options, const std::string &name, const Parts &...parts) {
        return call(name, options, parts...);
    }

    // Starts a call without waiting; next_answer returns its answer with this tag. Calls that
    // are still under way when the handler returns are cancelled. Throws Error.
    template <class... Parts>
    void start_call(std::uint64_t tag, const std::string &name, const Parts &...parts) {
        start_raw(tag, name, nullptr, parts...);
    }

    template <class... Parts>
    void start_call(std::uint64_t tag, const std::string &name, const CallOptions &options,
                    const Parts &...parts) {
        start_raw(tag, name, detail::Options(options).raw(), parts...);
    }

    template <class... Parts>
    [[deprecated("use start_call(tag, name, options, parts...)")]] void
    start_call_with(const CallOptions &options, std::uint64_t tag, const std::string &name,
                    const Parts &...parts) {
        start_call(tag, name, options, parts...);
    }

    // Waits for the next answer to a call that start_call started. Answers come in the order in
    // which they arrive. Throws Error if no call is under way.
    Tagged next_answer() {
        while (true)
            if (auto next = next_raw(UINT64_MAX)) return *std::move(next);
    }

    // Does the same, but returns nullopt if no answer arrives within this time.
    std::optional<Tagged> next_answer(std::chrono::nanoseconds timeout) {
        return next_raw(timeout.count() > 0 ? static_cast<std::uint64_t>(timeout.count()) : 0);
    }

    // Allocates memory for a large body; see Buffer. Throws Error.
    Buffer buffer(std::size_t capacity) {
        nc_buffer *buffer = nullptr;
        detail::check(nc_buffer_new(request_, capacity, &buffer));
        return Buffer(buffer);
    }

    // The object of the C interface.
    nc_request *raw() const noexcept { return request_; }

private:
    template <class... Parts>
    Answer call_raw(const std::string &name, const nc_call_options *options,
                    const Parts &...parts) {
        const std::array<nc_bytes, sizeof...(Parts)> body = {detail::bytes(parts)...};
        nc_answer *answer = nullptr;
        nc_error *error = nullptr;
        const std::int32_t status = nc_call_with(request_, detail::callee(name), body.data(),
                                                 body.size(), options, &answer, &error);
        detail::check(status, error);
        return Answer(answer, name);
    }

    template <class... Parts>
    void start_raw(std::uint64_t tag, const std::string &name, const nc_call_options *options,
                   const Parts &...parts) {
        const std::array<nc_bytes, sizeof...(Parts)> body = {detail::bytes(parts)...};
        // `callee` may throw, so it runs before the call is recorded.
        const char *callee = detail::callee(name);
        nc_error *error = nullptr;
        started_.emplace_back(tag, name);
        const std::int32_t status =
            nc_call_start(request_, tag, callee, body.data(), body.size(), options, &error);
        if (status != NC_OK) started_.pop_back();
        detail::check(status, error);
    }

    // Removes the call with this tag from the list, and returns the name of its function.
    std::string started(std::uint64_t tag) {
        for (auto call = started_.begin(); call != started_.end(); ++call) {
            if (call->first != tag) continue;
            std::string name = std::move(call->second);
            started_.erase(call);
            return name;
        }
        return {};
    }

    std::optional<Tagged> next_raw(std::uint64_t timeout_ns) {
        Tagged tagged;
        nc_answer *answer = nullptr;
        nc_error *error = nullptr;
        const std::int32_t status =
            nc_next_answer(request_, timeout_ns, &tagged.tag, &answer, &error);
        if (status == NC_AGAIN) return std::nullopt;
        if (status >= NC_INVALID_ARGUMENT) throw Error(status, error);
        std::string name = started(tagged.tag);
        if (status == NC_OK)
            tagged.answer_ = Answer(answer, std::move(name));
        else
            tagged.error.emplace(status, error);
        return tagged;
    }

    nc_request *request_;
    // The tags and the functions of the calls that were started.
    std::vector<std::pair<std::uint64_t, std::string>> started_;
    // A std::stop_source after the first call of stop_token. C++17 has the field too, so that a
    // request has the same layout in all programs.
    std::shared_ptr<void> stopping_;
    OnCancel stopping_watch_;
};

namespace detail {

// Returns true if the library sends this name as ":status".
inline bool names_status(std::string_view name) noexcept {
    constexpr std::string_view status = ":status";
    if (name.size() != status.size()) return false;
    for (std::size_t i = 0; i < status.size(); i++) {
        const bool is_upper = name[i] >= 'A' && name[i] <= 'Z';
        if ((is_upper ? name[i] - 'A' + 'a' : name[i]) != status[i]) return false;
    }
    return true;
}

inline std::int32_t reply(nc_request *request, const nc_bytes &body,
                          const std::vector<nc_pair> &pairs) {
    return nc_reply_with(request, &body, 1, pairs.data(), pairs.size());
}

inline std::int32_t reply(nc_request *request, const Reply &value) {
    check_http_status(value.http_status, 200);
    const std::string digits = std::to_string(value.http_status);
    std::vector<nc_pair> pairs;
    pairs.reserve(value.metadata.size() + 1);
    if (value.http_status != 200) pairs.push_back({lend(":status"), lend(digits)});
    for (const auto &[name, text] : value.metadata)
        if (!names_status(name)) pairs.push_back({lend(name), lend(text)});
    return reply(request, lend(value.body), pairs);
}

// Replies with the value that a handler returned.
template <class T> std::int32_t answer(nc_request *request, T value) {
    if constexpr (std::is_same_v<T, Answer>) {
        // The metadata of an answer include ":status".
        const Metadata metadata = value.metadata();
        return reply(request, bytes(value), lend(metadata));
    } else if constexpr (std::is_same_v<T, Reply>) {
        return reply(request, value);
    } else if constexpr (std::is_same_v<T, Buffer>) {
        const std::size_t size = value.size();
        return nc_reply_buffer(request, value.release(), size, nullptr, 0);
    } else {
        return nc_reply(request, bytes(value));
    }
}

// Calls a function outside of any request.
template <class... Parts>
Answer process_call(const std::string &name, const nc_call_options *options,
                    const Parts &...parts) {
    const std::array<nc_bytes, sizeof...(Parts)> body = {bytes(parts)...};
    nc_answer *answer = nullptr;
    nc_error *error = nullptr;
    const std::int32_t status =
        nc_process_call(callee(name), body.data(), body.size(), options, &answer, &error);
    check(status, error);
    return Answer(answer, name);
}

// Fails the call because of an exception whose text is not meant for callers.
inline std::int32_t fail(nc_request *request, const char *message) noexcept {
    return nc_fail_unexpectedly(request, message) == NC_OK ? NC_OK : NC_FUNCTION_FAILED;
}

// Fails the call because of an Error.
inline std::int32_t fail(nc_request *request, const Error &error) noexcept {
    if (error.raw() != nullptr) return nc_pass_on(request, error.raw());
    // If there is a message, this header made the error. Otherwise the library has recorded the
    // error, and passes it on for this status.
    return error.message().empty() ? error.status() : nc_fail(request, error.what());
}

// Replies with an HTTP error.
inline std::int32_t reply(nc_request *request, const HttpError &error) noexcept {
    try {
        return reply(request, error.reply());
    } catch (const std::exception &failure) {
        return fail(request, failure.what());
    }
}

// Runs a handler for the C interface. No exception leaves this function.
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
    } catch (const HttpError &error) {
        return reply(request, error);
    } catch (const Error &error) {
        return fail(request, error);
    } catch (const std::exception &error) {
        return fail(request, error.what());
    } catch (...) {
        return fail(request, "unknown exception");
    }
}

} // namespace detail

// Registers the handler of a function, before serve. `handler` is called with a Request &, on
// several threads at the same time. It returns a text, a container of bytes, a Reply, a Buffer, an
// Answer, which is passed on with its metadata, or nothing.
//
// An HttpError that leaves the handler is a reply. An Error is passed on to the caller. Any other
// exception fails the call with FUNCTION_FAILED: its text goes to the function's log, and to
// callers only with `expose_errors = true`. Throws Error if the name cannot name a function or has
// a handler already.
template <class F> void handle(const std::string &name, F &&handler) {
    using Handler = std::decay_t<F>;
    static_assert(std::is_invocable_v<Handler &, Request &>,
                  "a handler takes a nightcore::Request &");
    auto kept = std::make_unique<Handler>(std::forward<F>(handler));
    detail::check(nc_handle(name.c_str(), &detail::run<Handler>, kept.get()));
    // Handlers are never freed.
    static_cast<void>(kept.release());
}

// Calls a function outside of any request, from any thread of a process that serves, and waits for
// its answer; see nc_process_call. Throws Error.
template <class... Parts> Answer call(const std::string &name, const Parts &...parts) {
    return detail::process_call(name, nullptr, parts...);
}

template <class... Parts>
Answer call(const std::string &name, const CallOptions &options, const Parts &...parts) {
    return detail::process_call(name, detail::Options(options).raw(), parts...);
}

template <class... Parts>
[[deprecated("use call(name, options, parts...)")]] Answer
call_with(const CallOptions &options, const std::string &name, const Parts &...parts) {
    return call(name, options, parts...);
}

// Serves until the engine ends this process. Returns the process exit code for main; see nc_serve.
inline int serve() { return nc_serve(); }

} // namespace nightcore

#endif // NIGHTCORE_HPP
