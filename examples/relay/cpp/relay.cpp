// A function that adds its name to the body and calls the next one, if there is one; the answer is the last one's.

#include <nightcore.hpp>

#include <cstdlib>

int main() {
    const char *next = std::getenv("NEXT");
    nightcore::handle("RelayCpp", [next](nightcore::Request &req) {
        const std::string body = std::string(req.body()) + " > C++";
        return next != nullptr ? req.call(next, body).str() : body;
    });
    return nightcore::serve();
}
