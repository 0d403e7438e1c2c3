# Runs clang-tidy, with the .clang-tidy of the repository, over every source of the addon, as many at once as there are
# processors. On its standard error it counts warnings about headers that are not ours: shown only if something failed.
set -eu
cd "$(dirname "$0")/.."
addon_api=$(node -p "require('node-addon-api').include_dir")
node_headers=$(node -p "require('node:path').resolve(process.execPath, '../../include/node')")
noise=$(mktemp)
trap 'rm -f "$noise"' EXIT
printf '%s\n' src/*/*.cc | xargs -P "$(nproc)" -I '{}' \
  clang-tidy --quiet '{}' -- -std=c++20 -fno-exceptions -D_GNU_SOURCE -DNAPI_VERSION=9 \
  -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED -DBUILDING_NODE_EXTENSION \
  -Isrc -isystem "$addon_api" -isystem "$node_headers" 2>"$noise" || {
  cat "$noise" >&2
  exit 1
}
