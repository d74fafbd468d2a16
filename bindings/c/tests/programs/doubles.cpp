// Tests handlers without an engine, for tests/programs.rs. If a check fails, the program prints its
// line and exits with 1.

#include <nightcore_testing.hpp>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

using namespace std::chrono_literals;
using nightcore::Request;
using nightcore::testing::FakeRequest;

static void check(bool holds, int line) {
    if (holds) return;
    std::fprintf(stderr, "doubles.cpp:%d does not hold\n", line);
    std::exit(1);
}
#define CHECK(condition) check(condition, __LINE__)

static nightcore::Answer foo(Request &req) {
    return req.call("Bar", {5ms, {{"kind", "test"}}}, req.body(), ", World").throw_for_status();
}

static void a_call_is_answered_by_the_double() {
    int calls = 0;
    FakeRequest request{"Hello"};
    request.function = "Foo";
    request.caller = "Above";
    request.time_left = 1s;
    const nightcore::Answer answer = nightcore::testing::run(foo, request, [&](Request &call) {
        calls++;
        CHECK(call.function() == "Bar" && call.caller() == "Foo" && call.time_left() == 5ms);
        CHECK(call.metadata("kind") == "test");
        return nightcore::Reply{"From Bar: " + std::string(call.body()), 201, {}};
    });
    CHECK(calls == 1 && answer.body() == "From Bar: Hello, World" && answer.http_status() == 201);
    CHECK(static_cast<std::string>(answer) == answer.str());
    const nightcore::Answer copy = answer;
    CHECK(copy.body().data() == answer.body().data());
}

template <class F, class... Double>
static nightcore::Error error_of(F &&handler, Double &&...callee) {
    try {
        nightcore::testing::run(handler, FakeRequest{}, callee...);
    } catch (const nightcore::Error &error) {
        return error;
    }
    CHECK(false);
    std::abort();
}

static void errors_are_those_that_a_caller_gets() {
    const nightcore::Error missing = error_of(foo);
    CHECK(missing.status() == NC_FUNCTION_FAILED && missing.function() == "Test");
    CHECK(missing.causes().at(0).status == NC_NOT_FOUND);
    CHECK(missing.causes().at(0).function == "Bar");
    const nightcore::Error status = error_of(
        foo, [](Request &) -> std::string { throw nightcore::HttpError(404, "no such user"); });
    CHECK(status.causes().at(0).message == "answered with HTTP status 404: no such user");
    const nightcore::Error own =
        error_of([](Request &) { throw std::runtime_error("no database"); });
    CHECK(own.message() == "no database");
}

static void an_http_error_is_an_answer() {
    const auto teapot = [](Request &) { throw nightcore::HttpError(418, "teapot"); };
    const nightcore::Answer answer = nightcore::testing::run(teapot, {});
    CHECK(answer.http_status() == 418 && answer.body() == "teapot");
    CHECK(answer.metadata("content-type") == "text/plain; charset=utf-8");
}

static void started_calls_are_answered_in_their_order() {
    const auto both = [](Request &req) {
        req.start_call(7, "Left", "l");
        req.start_call(8, "Right", nightcore::CallOptions{}, "r");
        nightcore::Tagged left = req.next_answer();
        std::optional<nightcore::Tagged> right = req.next_answer(1s);
        CHECK(left.tag == 7 && !left.error && right && right->tag == 8 && right->error);
        try {
            right->answer();
            CHECK(false);
        } catch (const nightcore::Error &error) {
            CHECK(error.function() == "Right" && error.status() == NC_FUNCTION_FAILED);
        }
        return left.answer().str();
    };
    const auto callee = [](Request &call) {
        if (call.function() == "Right") throw nightcore::Error("no such side");
        return std::string(call.body());
    };
    CHECK(nightcore::testing::run(both, {}, callee).body() == "l");
}

static void an_http_status_of_a_reply_replaces_that_of_its_metadata() {
    for (const int http_status : {200, 418}) {
        const auto handler = [&](Request &) {
            return nightcore::Reply{
                "x", http_status, {{":status", "404"}, {"a", "1"}, {":Status", "405"}}};
        };
        const nightcore::Answer answer = nightcore::testing::run(handler, {});
        nightcore::Metadata expected = {{"a", "1"}};
        if (http_status != 200) expected.insert(expected.begin(), {":status", "418"});
        CHECK(answer.http_status() == http_status && answer.metadata() == expected);
    }
}

static void a_call_without_a_function_leaves_no_tag() {
    const auto handler = [](Request &req) {
        for (const std::string &name : {std::string("No\0", 3), std::string("a b")}) {
            try {
                req.start_call(1, name);
                CHECK(false);
            } catch (const nightcore::Error &error) {
                CHECK(error.status() == NC_NOT_FOUND);
            }
        }
        req.start_call(1, "Bar");
        try {
            req.next_answer().answer().throw_for_status();
            CHECK(false);
        } catch (const nightcore::AnswerError &error) {
            CHECK(error.function() == "Bar");
        }
    };
    const auto callee = [](Request &) { throw nightcore::HttpError(404, "no"); };
    nightcore::testing::run(handler, {}, callee);
}

static void a_request_is_cancelled() {
    bool noted = false;
    FakeRequest request;
    request.cancel_reason = NC_CANCELLED;
    const auto handler = [&](Request &req) {
        const auto watch = req.on_cancel([&] { noted = true; });
        CHECK(noted && req.cancelled() && req.cancel_reason() == NC_CANCELLED);
    };
    CHECK(nightcore::testing::run(handler, request).body().empty() && noted);
}

int main() {
    a_call_is_answered_by_the_double();
    errors_are_those_that_a_caller_gets();
    an_http_error_is_an_answer();
    started_calls_are_answered_in_their_order();
    an_http_status_of_a_reply_replaces_that_of_its_metadata();
    a_call_without_a_function_leaves_no_tag();
    a_request_is_cancelled();
}
