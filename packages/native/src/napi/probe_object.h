#pragma once

#include <napi.h>

namespace sheaf::napi {

/** `probe()`: what the kernel has. */
Napi::Value Probe(const Napi::CallbackInfo& info);

}  // namespace sheaf::napi
