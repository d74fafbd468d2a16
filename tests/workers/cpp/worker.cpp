// The handlers that the test worker has in every language. Each handler is also registered under a
// second name, which ends in Cpp.

#include <nightcore.hpp>

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <string>

namespace {

using nightcore::Request;

template <class F> void add(const std::string &name, F handler) {
    nightcore::handle(name, handler);
    nightcore::handle(name + "Cpp", handler);
}

std::string upper(Request &req) {
    std::string text(req.body());
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

std::string origin(Request &req) {
    const std::string caller(req.caller());
    return req.is_internal() ? "internal " + caller : "external" + caller;
}

// Calls a function. The request's body is "NAME\nBODY".
nightcore::Answer call(Request &req) {
    const std::string_view body = req.body();
    const std::size_t at = body.find('\n');
    return req.call(std::string(body.substr(0, at)), body.substr(at + 1));
}

void fail(Request &req) { throw nightcore::Error(std::string(req.body())); }

} // namespace

int main() {
    add("Echo", [](Request &req) { return std::string(req.body()); });
    add("Upper", upper);
    add("Origin", origin);
    add("Call", call);
    add("Fail", fail);
    return nightcore::serve();
}
