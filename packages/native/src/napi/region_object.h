// Mapped memory as an ArrayBuffer.
#pragma once

#include <napi.h>

#include <memory>

#include "memory/region.h"

namespace sheaf::napi {

/**
 * An ArrayBuffer on the first `size_bytes` of `region`, holding it until collected.
 * @returns an empty value, with no exception pending, where the runtime allows no such ArrayBuffer (Electron).
 */
Napi::ArrayBuffer MakeArrayBuffer(Napi::Env env, const std::shared_ptr<memory::Region>& region, size_t size_bytes);

/** What JavaScript has of `region`: undefined where it can't be shown, else `buffer`, `address` and `sizeBytes`. */
Napi::Value RegionObject(Napi::Env env, const std::shared_ptr<memory::Region>& region);

}  // namespace sheaf::napi
