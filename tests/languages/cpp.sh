# Builds the worker in C++, with the C++ compiler, against the installed library.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs "${CXX:-c++}" g++
installed
read -ra flags <<<"$(pkg-config --cflags --libs nightcore)"
"${CXX:-c++}" -std=c++17 -O2 -g -pedantic -Wall -Wextra -Wshadow -Werror \
    "$sources/worker.cpp" -o "$folder/worker" "${flags[@]}"
start "$folder/worker"
