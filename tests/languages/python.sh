# Builds the worker in Python whose handlers are plain functions.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

. tests/languages/python-package.sh
start "$python" "$sources/worker.py"
