// Two functions: Foo calls Bar and replies with Bar's answer.

#include <nightcore.hpp>

int main() {
    nightcore::handle("Foo", [](nightcore::Request &req) {
        return req.call("Bar", std::string(req.body()) + ", World");
    });
    nightcore::handle("Bar", [](nightcore::Request &req) {
        return "From function Bar: " + std::string(req.body());
    });
    return nightcore::serve();
}
