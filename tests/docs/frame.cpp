// What stands around a piece of C++ in the documents.
#include <nightcore.hpp>

#include <cstdio>
#include <future>
#include <thread>

std::string compute(const std::string &key);
std::string piece(nightcore::Request &req, const std::string &key);
std::string piece(nightcore::Request &req, const std::string &key) {
HERE
}
