// The conformance worker in C++. SPEC.md describes each case.

#include <nightcore.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using nightcore::Answer;
using nightcore::CallOptions;
using nightcore::Metadata;
using nightcore::Reply;
using nightcore::Request;
using std::chrono::milliseconds;

std::string value(const Request &req, const std::string &name) {
    return std::string(req.metadata(name).value_or(""));
}

std::size_t number(std::string_view text) { return std::stoull(std::string(text)); }

CallOptions to(const std::string &name) {
    CallOptions options;
    options.metadata = {{"case", name}};
    return options;
}

// Returns the pairs whose name begins with x-.
Metadata own(const Metadata &all) {
    Metadata kept;
    std::copy_if(all.begin(), all.end(), std::back_inserter(kept),
                 [](const auto &pair) { return pair.first.rfind("x-", 0) == 0; });
    return kept;
}

std::string upper(const Request &req) {
    std::string text(req.body());
    for (char &c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return text;
}

std::string binary(const Request &req) {
    std::string bytes(req.body());
    for (char &byte : bytes) byte = static_cast<char>(~byte);
    return bytes;
}

std::string big(const Request &req) {
    std::string bytes(number(req.body()), '\0');
    for (std::size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<char>(i % 251);
    return bytes;
}

std::string sleep(const Request &req) {
    std::this_thread::sleep_for(milliseconds(number(req.body())));
    return "slept";
}

std::string caught(Request &req) {
    CallOptions options = to(value(req, "to"));
    if (const auto timeout = req.metadata("timeout-ms"))
        options.timeout = milliseconds(number(*timeout));
    try {
        return "OK\n" + req.call(value(req, "target"), options, req.body()).str();
    } catch (const nightcore::Error &error) {
        std::string text = error.status_name();
        text.append("\n").append(error.function()).append("\n").append(error.message());
        for (const auto &cause : error.causes())
            text.append("\n" + cause.function + " " + nc_status_name(cause.status));
        return text;
    }
}

std::string mistake(Request &req) {
    const auto count = [&](const std::string &name) {
        const std::string text = value(req, name);
        return text.empty() ? 0 : number(text);
    };
    CallOptions options = to("echo");
    if (const auto name = req.metadata("name"))
        options.metadata.emplace_back(std::string(*name), std::string(count("value"), 'v'));
    if (const auto timeout = req.metadata("timeout-ms"))
        options.timeout = milliseconds(std::stoll(std::string(*timeout)));
    try {
        const std::string target = value(req, "target"), body(count("size"), 'b');
        if (value(req, "by") == "process")
            nightcore::call(target, options, body);
        else
            req.call(target, options, body);
        return "OK";
    } catch (const nightcore::Error &error) {
        return error.status_name();
    }
}

std::string fan_out(Request &req) {
    const std::size_t count = number(req.body());
    const CallOptions options = to(value(req, "to"));
    const std::string target = value(req, "target");
    for (std::size_t i = 0; i < count; i++) req.start_call(i, target, options, std::to_string(i));
    std::vector<std::string> answers(count);
    for (std::size_t i = 0; i < count; i++) {
        nightcore::Tagged next = req.next_answer();
        answers[next.tag] = next.answer().str() + ";";
    }
    std::string all;
    for (const std::string &answer : answers) all += answer;
    return all;
}

std::string chain(Request &req) {
    const std::string route = value(req, "route");
    if (route.empty()) return std::string(req.body());
    const std::size_t comma = route.find(',');
    const std::string rest = comma == std::string::npos ? "" : route.substr(comma + 1);
    const std::string last = value(req, "to");
    CallOptions options = to(rest.empty() && !last.empty() ? last : "chain");
    options.metadata.emplace_back("route", rest);
    options.metadata.emplace_back("to", last);
    return req.call(route.substr(0, comma), options, req.body(), ">", req.function()).str();
}

Reply metadata(const Request &req) {
    Reply reply;
    reply.metadata = own(req.metadata());
    for (const auto &[name, value] : reply.metadata) reply.body += name + "=" + value + "\n";
    return reply;
}

Reply relay_metadata(Request &req) {
    CallOptions options = to("metadata");
    for (auto &pair : own(req.metadata())) options.metadata.push_back(std::move(pair));
    const Answer answer = req.call(value(req, "target"), options);
    return {answer.str(), 200, own(answer.metadata())};
}

Reply status(const Request &req) {
    return {std::string(req.body()), static_cast<int>(number(req.body())), {}};
}

std::string http_error(const Request &req) {
    // An HttpError carries a text for clients.
    throw nightcore::HttpError(static_cast<int>(number(req.body())), "as told: größer");
}

std::string check_status(Request &req) {
    const Answer answer = req.call(value(req, "target"), to("http_error"), req.body());
    return answer.throw_for_status().str();
}

std::string relay_status(Request &req) {
    return std::to_string(req.call(value(req, "target"), to("status"), req.body()).http_status());
}

std::string origin(const Request &req) {
    return req.is_internal() ? "internal " + std::string(req.caller()) : "external";
}

std::string deadline(const Request &req) {
    const auto left = std::chrono::duration_cast<milliseconds>(req.time_left().value());
    return std::to_string(left.count());
}

std::string path(const Request &req) {
    return value(req, ":method") + "\n" + value(req, ":path") + "\n" + value(req, ":query") + "\n";
}

std::string wait_for_cancel(Request &req) {
    const std::string body(req.body());
    std::cout << "waiting " + body + "\n" << std::flush;
    std::promise<std::chrono::nanoseconds> noticed;
    const auto watch = req.on_cancel(
        [&] { noticed.set_value(std::chrono::steady_clock::now().time_since_epoch()); });
    const std::string at = std::to_string(noticed.get_future().get().count());
    const std::string reason = nc_status_name(req.cancel_reason());
    const std::string told = "cancelled " + body + ": " + reason;
    std::cout << told + "\nnoticed " + body + " at " + at + "\n" << std::flush;
    return "";
}

std::string later(const Request &req) {
    CallOptions options = to(value(req, "to"));
    if (const std::string ms = value(req, "timeout-ms"); !ms.empty())
        options.timeout = milliseconds(number(ms));
    std::thread([options, target = value(req, "target"), body = std::string(req.body())] {
        std::string ended;
        try {
            ended = nightcore::call(target, options, body).str();
        } catch (const nightcore::Error &error) {
            ended = nc_status_name(error.status());
        }
        std::cout << "later " + body + ": " + ended + "\n" << std::flush;
    }).detach();
    return "begun";
}

std::string print(const Request &req) {
    std::cout << std::string(req.body()) + "\n" << std::flush;
    return "printed";
}

std::string log_body(const Request &req) {
    req.log(std::string(req.body()));
    return "logged";
}

// A handler can answer only by returning, so it cannot answer twice.
std::string twice(const Request &req) {
    std::cout << "twice: none\n" << std::flush;
    return std::string(req.body());
}

// Most cases answer with a body alone, some with metadata or a status.
using Text = std::function<std::string(Request &)>;
using Full = std::function<Reply(Request &)>;

const std::map<std::string, Text, std::less<>> TEXTS = {
    {"echo", [](Request &req) { return std::string(req.body()); }},
    {"upper", upper},
    {"binary", binary},
    {"big", big},
    {"count", [](Request &req) { return std::to_string(req.body().size()); }},
    {"fail", [](Request &req) -> std::string { throw nightcore::Error(std::string(req.body())); }},
    {"error",
     [](Request &req) -> std::string { throw std::runtime_error(std::string(req.body())); }},
    {"throw", [](Request &req) -> std::string { throw std::logic_error(std::string(req.body())); }},
    {"sleep", sleep},
    {"call",
     [](Request &req) {
         return req.call(value(req, "target"), to(value(req, "to")), req.body()).str();
     }},
    {"catch", caught},
    {"mistake", mistake},
    {"fan_out", fan_out},
    {"chain", chain},
    {"http_error", http_error},
    {"check_status", check_status},
    {"relay_status", relay_status},
    {"origin", origin},
    {"function", [](Request &req) { return std::string(req.function()); }},
    {"id", [](Request &req) { return std::string(req.id()); }},
    {"deadline", deadline},
    {"path", path},
    {"crash", [](Request &) -> std::string { std::_Exit(3); }},
    {"wait_for_cancel", wait_for_cancel},
    {"later", later},
    {"print", print},
    {"log", log_body},
    {"twice", twice},
};

const std::map<std::string, Full, std::less<>> REPLIES = {
    {"metadata", metadata},
    {"relay_metadata", relay_metadata},
    {"status", status},
};

Reply handle(Request &req) {
    const std::string name = value(req, "case");
    if (const auto found = TEXTS.find(name); found != TEXTS.end()) return {found->second(req)};
    if (const auto found = REPLIES.find(name); found != REPLIES.end()) return found->second(req);
    throw nightcore::Error("no case \"" + name + "\"");
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: " << argv[0] << " NAME\n";
        return 2;
    }
    nightcore::handle(argv[1], handle);
    return nightcore::serve();
}
