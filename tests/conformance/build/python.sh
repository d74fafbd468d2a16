# Python, handlers that are plain functions.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

. tests/conformance/build/python-package.sh
start "$python" "$root/tests/conformance/workers/python/worker.py"
