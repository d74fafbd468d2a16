# Builds the worker in C, with the C compiler, against the installed library.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs "${CC:-cc}" gcc
installed
read -ra flags <<<"$(pkg-config --cflags --libs nightcore)"
"${CC:-cc}" -std=c11 -O2 -g -pedantic -Wall -Wextra -Wshadow -Werror \
    "$sources/worker.c" -o "$folder/worker" "${flags[@]}"
start "$folder/worker"
