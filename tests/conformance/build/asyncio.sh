# Python, handlers that are coroutines.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

. tests/conformance/build/python-package.sh
start "$python" "$root/tests/conformance/workers/asyncio/worker.py"
