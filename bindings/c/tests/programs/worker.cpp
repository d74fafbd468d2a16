// Handlers that use all of nightcore.hpp, for tests/programs.rs.

#include <nightcore.hpp>

#include <cstring>
#include <stdexcept>

using namespace std::chrono_literals;

template <class T>
constexpr bool move_only = std::is_move_constructible_v<T> && !std::is_copy_constructible_v<T>;
static_assert(move_only<nightcore::Buffer>);
static_assert(!std::is_move_constructible_v<nightcore::Request>);
static_assert(std::is_nothrow_copy_constructible_v<nightcore::Error>);
static_assert(std::is_nothrow_copy_constructible_v<nightcore::AnswerError>);
static_assert(std::is_nothrow_copy_constructible_v<nightcore::HttpError>);
// throw_for_status of a temporary answer returns an answer, not a reference into the temporary.
static_assert(std::is_same_v<decltype(std::declval<nightcore::Answer>().throw_for_status()),
                             nightcore::Answer>);
static_assert(std::is_same_v<decltype(std::declval<nightcore::Answer &>().throw_for_status()),
                             const nightcore::Answer &>);
// A copy of the body needs an explicit conversion.
static_assert(!std::is_convertible_v<nightcore::Answer, std::string>);

static std::string describe(nightcore::Request &req) {
    std::string text(req.function());
    text += req.is_internal() ? " from " + std::string(req.caller()) : " from outside";
    const auto left = req.time_left();
    text += left ? (*left > 0ns && *left < 60s ? " in time" : " ?") : " no deadline";
    text += req.cancelled() ? " cancelled" : " wanted";
    for (const auto &[name, value] : req.metadata()) text += " " + name + "=" + value;
    if (req.metadata("missing")) text += " ?";
    return text + " " + std::string(req.metadata("a").value_or("-"));
}

int main() {
    nightcore::handle("Echo", [](nightcore::Request &req) { return req.body(); });
    nightcore::handle("Nothing", [](nightcore::Request &) {});
    nightcore::handle("Bytes",
                      [](nightcore::Request &) { return std::vector<std::uint8_t>{1, 2, 3}; });
    nightcore::handle("Text", [](nightcore::Request &) { return "text"; });
    nightcore::handle("Describe", describe);
    nightcore::handle("Reply", [](nightcore::Request &) {
        return nightcore::Reply{"teapot", 418, {{"content-type", "text/plain"}}};
    });
    nightcore::handle("Http", [](nightcore::Request &req) {
        throw nightcore::HttpError(std::stoi(std::string(req.body())), "no such user");
    });
    nightcore::handle("HttpReply", [](nightcore::Request &) {
        nightcore::Reply reply = nightcore::json_reply("{}", 422);
        reply.metadata.emplace_back("a", "1");
        throw nightcore::HttpError(reply);
    });
    nightcore::handle("BadReply", [](nightcore::Request &) { return nightcore::Reply{"", 600}; });
    nightcore::handle("Demanding", [](nightcore::Request &req) {
        try {
            req.call("Bar").throw_for_status();
        } catch (const nightcore::AnswerError &error) {
            if (error.answer().http_status() != 404) throw 1;
            if (error.answer().body() != "no such user") throw 1;
            throw;
        }
        return "fine";
    });
    nightcore::handle("DemandingStarted", [](nightcore::Request &req) {
        req.start_call(1, "Bar");
        return req.next_answer().answer().throw_for_status();
    });
    nightcore::handle("Large", [](nightcore::Request &req) {
        auto buffer = req.buffer(200000);
        std::memset(buffer.data(), 'x', buffer.capacity());
        buffer.resize(150000);
        return buffer;
    });
    nightcore::handle("HandOn", [](nightcore::Request &req) {
        return req.call("Bar", req.body(), "-", std::string("!"));
    });
    nightcore::handle("Catch", [](nightcore::Request &req) {
        try {
            return req.call("Bar", {50ms, {{"x", "y"}}}).str();
        } catch (const nightcore::Error &error) {
            std::string text = error.what();
            for (const auto &cause : error.causes())
                text += " <- " + cause.function + " " + nc_status_name(cause.status) + " " +
                        cause.message;
            return text + " (" + std::string(error.function()) + ", " + error.status_name() + ")";
        }
    });
    // The first error is passed on, although another call fails after it.
    nightcore::handle("Rethrow", [](nightcore::Request &req) {
        std::optional<nightcore::Error> first;
        for (const char *name : {"Bar", "Baz"}) {
            try {
                req.call(name);
            } catch (const nightcore::Error &error) {
                if (!first) first = error;
            }
        }
        throw *first;
    });
    nightcore::handle("Throw",
                      [](nightcore::Request &) { throw std::runtime_error("no such user"); });
    nightcore::handle("ThrowOther", [](nightcore::Request &) { throw 42; });
    nightcore::handle("ThrowStatus", [](nightcore::Request &) {
        throw nightcore::Error(NC_OVERLOADED, nullptr);
    });
    const std::string no_name("Bar\0", 4);
    nightcore::handle("NoName", [=](nightcore::Request &req) { return req.call(no_name); });
    nightcore::handle("NoNameOutside", [=](nightcore::Request &) {
        return nightcore::call(no_name);
    });
    nightcore::handle("TooLarge", [](nightcore::Request &) { return std::string(33 << 20, 'x'); });
    nightcore::handle("Many", [](nightcore::Request &req) {
        for (std::uint64_t tag = 0; tag < 3; tag++) req.start_call(tag, "Bar", std::to_string(tag));
        if (req.next_answer(1ms)) throw std::logic_error("too early");
        req.call("Go");
        std::string text;
        for (int i = 0; i < 3; i++) {
            nightcore::Tagged next = req.next_answer();
            text += std::to_string(next.tag) + "=";
            text += next.error ? next.error->status_name() : next.answer().str();
            text += " ";
        }
        return text;
    });
    try {
        nightcore::handle("Echo", describe);
        return 9;
    } catch (const nightcore::Error &error) {
        if (error.status() != NC_INVALID_ARGUMENT) return 9;
    }
    return nightcore::serve();
}
