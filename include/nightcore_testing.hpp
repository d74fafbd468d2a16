// Tests handlers without an engine. Header-only, for C++17; see docs/cpp.md.

#ifndef NIGHTCORE_TESTING_HPP
#define NIGHTCORE_TESTING_HPP

#include "nightcore.hpp"

namespace nightcore::testing {

// A request that no engine sent.
struct FakeRequest {
    std::string body = {};
    Metadata metadata = {};
    // The name of the function under test.
    std::string function = "Test";
    // The function that makes the call; empty if the call comes through the gateway.
    std::string caller = {};
    // The time left until the deadline, more than zero. It stays the same while the handler runs.
    // nullopt means no deadline.
    std::optional<std::chrono::nanoseconds> time_left = {};
    // The reason for which the request is cancelled from the start: NC_CANCELLED or
    // NC_DEADLINE_EXCEEDED. NC_OK means that it is not cancelled.
    std::int32_t cancel_reason = NC_OK;
};

namespace detail {

inline Answer run(const FakeRequest &fake, nc_handler handler, void *user, nc_handler callee,
                  void *callee_user) {
    const std::vector<nc_pair> pairs = nightcore::detail::lend(fake.metadata);
    nc_test_request request = {};
    request.struct_size = sizeof request;
    request.function = fake.function.c_str();
    request.caller = fake.caller.empty() ? nullptr : fake.caller.c_str();
    request.body = nightcore::detail::lend(fake.body);
    request.metadata = pairs.data();
    request.metadata_count = pairs.size();
    if (fake.time_left && fake.time_left->count() > 0)
        request.time_left_ns = static_cast<std::uint64_t>(fake.time_left->count());
    request.cancel_reason = fake.cancel_reason;
    request.callee = callee;
    request.callee_user = callee_user;
    nc_answer *answer = nullptr;
    nc_error *error = nullptr;
    const std::int32_t status = nc_test_run(&request, handler, user, &answer, &error);
    nightcore::detail::check(status, error);
    return Answer(answer, fake.function);
}

} // namespace detail

// Runs a handler with a request, on this thread. Every call that it makes fails with NC_NOT_FOUND.
//
// Returns the answer that the caller would get; an HttpError of the handler is an answer. Throws
// the Error that the caller would get with `expose_errors = true`, also for any other exception of
// the handler.
template <class F> Answer run(F &&handler, const FakeRequest &request) {
    auto run = [&](Request &req) { return handler(req); };
    return detail::run(request, &nightcore::detail::run<decltype(run)>, &run, nullptr, nullptr);
}

// Does the same with a test double: `callee` handles every call that the handler makes. `callee`
// is a handler itself: its Request has the name, the body and the metadata of the call.
template <class F, class D> Answer run(F &&handler, const FakeRequest &request, D &&callee) {
    auto run = [&](Request &req) { return handler(req); };
    auto answer = [&](Request &call) { return callee(call); };
    return detail::run(request, &nightcore::detail::run<decltype(run)>, &run,
                       &nightcore::detail::run<decltype(answer)>, &answer);
}

} // namespace nightcore::testing

#endif // NIGHTCORE_TESTING_HPP
