# Builds the worker in Rust, with cargo, in this workspace.
# shellcheck shell=bash disable=SC2154 # build.sh sets the variables.

package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$sources/Cargo.toml" | head -n 1)
cargo build --locked --quiet --profile "$profile" -p "$package" --target-dir "$(dirname "$built")"
start "$built/$package"
