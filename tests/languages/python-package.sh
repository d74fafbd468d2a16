# Makes a virtual environment for both kinds of workers in Python, and installs the package in it as
# a user would. Sets $python.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

needs python3 "Python 3 with its venv module"
venv=$(dirname "$folder")/venv
python=$venv/bin/python
if [[ ! -x $python ]]; then python3 -m venv "$venv"; fi
"$python" -m pip install --quiet --disable-pip-version-check "$root/languages/python"
