// A function that adds its name to the body and calls the next function, if there is one. The
// reply is the answer of the next function, or else the longer body.

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
