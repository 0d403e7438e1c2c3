# Runs clang-tidy, with the .clang-tidy of the repository, over every source of the addon.
set -eu
cd "$(dirname "$0")/.."
addon_api=$(node -p "require('node-addon-api').include_dir")
node_headers=$(node -p "require('node:path').resolve(process.execPath, '../../include/node')")
exec clang-tidy --quiet src/*/*.cc -- -std=c++20 -fno-exceptions -D_GNU_SOURCE -DNAPI_VERSION=9 \
  -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED -DBUILDING_NODE_EXTENSION \
  -Isrc -isystem "$addon_api" -isystem "$node_headers"
