// The measured worker in C++; see ../README.md.

#include <nightcore.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>

namespace {

std::string echo(nightcore::Request &req) { return std::string(req.body()); }

std::string measure(nightcore::Request &req) {
    std::size_t size = 0, count = 0, warm_up = 0;
    std::string target;
    std::istringstream(std::string(req.body())) >> size >> count >> warm_up >> target;
    const std::string body(size, 'x');
    std::string samples;
    samples.reserve(count * sizeof(std::uint64_t));
    for (std::size_t i = 0; i < warm_up + count; i++) {
        const auto start = std::chrono::steady_clock::now();
        const bool same = req.call(target, body).body().size() == size;
        const auto took = std::chrono::steady_clock::now() - start;
        if (!same) throw std::runtime_error(target + " did not return the body that it was sent");
        if (i < warm_up) continue;
        const auto ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count());
        for (unsigned byte = 0; byte < sizeof ns; byte++)
            samples += static_cast<char>(ns >> (8 * byte));
    }
    return samples;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fputs("usage: worker NAME\n", stderr);
        return 2;
    }
    const std::string name = argv[1];
    if (name.rfind("Caller", 0) == 0)
        nightcore::handle(name, measure);
    else
        nightcore::handle(name, echo);
    return nightcore::serve();
}
