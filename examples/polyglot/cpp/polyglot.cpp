// The hello functions in C++, under names of their own so that one engine can run them beside those
// of other languages. FooCpp calls the function whose name follows its own in the path:
// /function/FooCpp/BarRust. Without such a name it calls BarCpp.

#include <nightcore.hpp>

int main() {
    nightcore::handle("FooCpp", [](nightcore::Request &req) {
        const std::string path(req.metadata(":path").value_or("/"));
        const std::string callee = path.size() > 1 ? path.substr(1) : "BarCpp";
        return req.call(callee, req.body(), ", World");
    });
    nightcore::handle("BarCpp", [](nightcore::Request &req) {
        return "From function Bar: " + std::string(req.body());
    });
    return nightcore::serve();
}
