// Handlers that run code when their requests are cancelled, in C++20. Each handler prints that it
// waits, and then the result.

#include <nightcore.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <iostream>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace {

using nightcore::Request;
using namespace std::chrono_literals;

void say(const std::string &line) { std::cout << line + "\n" << std::flush; }

// Waits far longer than the library takes to notice a cancellation, to show that nothing happens.
void wait_in_vain() { std::this_thread::sleep_for(20ms); }

void wait_until_cancelled(const Request &req) {
    while (!req.cancelled()) std::this_thread::sleep_for(1ms);
}

std::string where(std::thread::id ran) {
    return ran == std::this_thread::get_id() ? " on this thread" : " on another thread";
}

// The code runs once, on another thread, while the handler waits for something else.
void once(Request &req) {
    std::atomic<int> runs = 0;
    std::promise<std::thread::id> ran;
    const auto watch = req.on_cancel([&] {
        if (runs++ == 0) ran.set_value(std::this_thread::get_id());
    });
    say("waiting");
    const std::thread::id thread = ran.get_future().get();
    wait_in_vain();
    say("ran " + std::to_string(runs) + where(thread));
}

// The request is cancelled before the code is set, so the code runs at once.
void too_late(Request &req) {
    say("waiting");
    wait_until_cancelled(req);
    std::thread::id ran;
    const auto watch = req.on_cancel([&] { ran = std::this_thread::get_id(); });
    say("ran 1" + where(ran));
}

// The code of a watch that was freed does not run.
void freed(Request &req) {
    std::atomic<int> runs = 0;
    req.on_cancel([&] { runs++; }) = nightcore::OnCancel();
    say("waiting");
    wait_until_cancelled(req);
    wait_in_vain();
    say("ran " + std::to_string(runs));
}

// A watch that is destroyed while its code runs waits for the end of the code.
void freed_meanwhile(Request &req) {
    std::promise<void> begun;
    std::atomic<bool> ended = false;
    {
        const auto watch = req.on_cancel([&] {
            begun.set_value();
            wait_in_vain();
            ended = true;
        });
        say("waiting");
        begun.get_future().wait();
    }
    say(ended ? "its code had ended" : "its code ran on");
}

std::atomic<bool> left_code_begun = false, left_code_ended = false;

// This handler does not free its watch, and returns while the code runs. The next call of the
// worker answers whether the code had ended.
std::string left(Request &req) {
    if (left_code_begun) return left_code_ended ? "its code had ended" : "its code ran on";
    nc_watch *watch = nullptr;
    const auto code = [](void *) {
        left_code_begun = true;
        wait_in_vain();
        left_code_ended = true;
    };
    if (nc_request_on_cancel(req.raw(), code, nullptr, &watch) != NC_OK) return "refused";
    say("waiting");
    while (!left_code_begun) std::this_thread::yield();
    return "";
}

// A stop token ends a wait that uses it.
void token(Request &req) {
    std::mutex mutex;
    std::condition_variable_any nothing;
    const std::stop_token stop = req.stop_token();
    const bool same = stop == req.stop_token();
    say("waiting");
    std::unique_lock lock(mutex);
    nothing.wait(lock, stop, [] { return false; });
    say(same && stop.stop_requested() && req.cancelled() ? "stopped" : "not stopped");
}

// No code runs for an answered request. A token that outlives its request never stops.
std::string answered(Request &req) {
    static std::atomic<int> runs = 0;
    static std::stop_token last;
    const bool stopped = last.stop_requested();
    const auto watch = req.on_cancel([] { runs++; });
    last = req.stop_token();
    return stopped ? "stopped" : "ran " + std::to_string(runs);
}

} // namespace

int main() {
    nightcore::handle("Once", once);
    nightcore::handle("TooLate", too_late);
    nightcore::handle("Freed", freed);
    nightcore::handle("FreedMeanwhile", freed_meanwhile);
    nightcore::handle("Left", left);
    nightcore::handle("Token", token);
    nightcore::handle("Answered", answered);
    return nightcore::serve();
}
