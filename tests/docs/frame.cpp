// The frame in which the C++ examples of the documents are compiled.
#include <nightcore.hpp>

#include <cstdio>
#include <future>
#include <thread>

std::string compute(const std::string &key);
std::string piece(nightcore::Request &req, const std::string &key);
std::string piece(nightcore::Request &req, const std::string &key) {
HERE
}
