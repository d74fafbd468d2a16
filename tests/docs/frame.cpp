// The source around each C++ example of the documents that is not a whole program.
#include <nightcore.hpp>

#include <cstdio>
#include <future>
#include <thread>

std::string compute(const std::string &key);
std::string piece(nightcore::Request &req, const std::string &key);
std::string piece(nightcore::Request &req, const std::string &key) {
HERE
}
