// Uses all of nightcore.hpp and nightcore_testing.hpp. tests/c/warnings.sh compiles it with all
// warnings of clang.
#include <nightcore_testing.hpp>

#include <cstdio>
#include <cstring>
#include <thread>

using namespace std::chrono_literals;

static std::string describe(const nightcore::Error &error) {
    std::string text = error.what();
    text += std::string(error.function()) + error.status_name() + std::string(error.message());
    for (const nightcore::Cause &cause : error.causes())
        text += cause.function + std::to_string(cause.status) + cause.message;
    return error.raw() == nullptr ? std::to_string(error.status()) : text;
}

static std::string foo(nightcore::Request &req) {
    req.log("foo runs");
    bool noted = false;
    nightcore::OnCancel none;
    none = req.on_cancel([&noted] { noted = true; });
    std::string text(req.function());
    if (req.is_internal()) text += req.caller();
    for (const auto &[name, value] : req.metadata()) text.append(name).append(value);
    if (req.cancelled() && req.cancel_reason() == NC_CANCELLED) return "nobody waits";
    if (req.time_left().value_or(1s) < 1ms || req.metadata("a")) return text;
    const nightcore::CallOptions options{50ms, {{"kind", "test"}}};
    req.start_call(1, "Bar", req.body());
    req.start_call(2, "Bar", options, text, std::vector<char>{'x'});
    nightcore::Tagged first = req.next_answer();
    if (first.tag == 1 && first.error) throw nightcore::Error("no first answer");
    text += first.answer().body();
    if (std::optional<nightcore::Tagged> second = req.next_answer(10ms))
        text += std::move(*second).answer().str();
    const nightcore::Answer answer = req.call("Bar", options, text).throw_for_status();
    for (const auto &[name, value] : answer.metadata()) text.append(name).append(value);
    text += answer.metadata("a").value_or("-");
    text += static_cast<std::string>(answer) + std::to_string(answer.http_status());
    if (answer.raw() == nullptr || req.raw() == nullptr) return std::string(req.id());
    return text + req.call("Bar", text, "more").str();
}

static nightcore::Buffer large(nightcore::Request &req) {
    nightcore::Buffer buffer = req.buffer(100);
    std::memset(buffer.data(), 'x', buffer.capacity());
    buffer.resize(buffer.size() / 2);
    return buffer;
}

static nightcore::Reply reply(nightcore::Request &) {
    nightcore::Reply made = nightcore::json_reply("{}", 201);
    made.metadata.emplace_back("a", "1");
    if (made.body.empty()) throw nightcore::HttpError(nightcore::Reply{"no", 404, {}});
    throw nightcore::HttpError(made.http_status + 200, "no such user");
}

static void outside() {
    try {
        nightcore::call("Bar", "x").throw_for_status();
        nightcore::call("Bar", nightcore::CallOptions{1s, {}}, "x");
    } catch (const nightcore::AnswerError &error) {
        std::puts(error.answer().str().c_str());
    } catch (const nightcore::Error &error) {
        std::puts(describe(error).c_str());
    }
}

static int test() {
    nightcore::testing::FakeRequest request;
    request.body = "x";
    request.function = "Foo";
    request.caller = "Above";
    request.metadata = {{"a", "1"}};
    request.time_left = 1s;
    request.cancel_reason = NC_OK;
    try {
        nightcore::testing::run(foo, request);
    } catch (const nightcore::HttpError &error) {
        return error.http_status() + static_cast<int>(error.reply().body.size());
    }
    return nightcore::testing::run(foo, request, reply).http_status();
}

int main(int count, char **) {
    if (count > 1) return test();
    nightcore::handle("Foo", foo);
    nightcore::handle("Large", large);
    nightcore::handle("Reply", reply);
    nightcore::handle("HandOn", [](nightcore::Request &req) { return req.call("Bar"); });
    nightcore::handle("Nothing", [](nightcore::Request &) {});
    std::thread thread(outside);
    const int code = nightcore::serve();
    thread.join();
    return code;
}
