#!/usr/bin/env bash
# run-newer.sh: as run.sh, on Node 24 and its own tests. Not in CI: where they are from moves on, and what is listed with it.
set -euo pipefail
cd "$(dirname "$0")"
tree=${TMPDIR:-/tmp}/sheaf-conformance-tree-24
./fetch-tree.sh "$tree" 24
# The Node that the tests are of.
package=node-linux-$(node -p process.arch)@$(cat "$tree/version")
exec npm exec --yes --package="$package" -- node ../dist/conformance.js --tree "$tree" --timeout 30 "$@"
