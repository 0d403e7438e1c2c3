#include "napi/probe_object.h"

#include <algorithm>

#include "napi/addon.h"

namespace sheaf::napi {

Napi::Value Probe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const kernel::ProbeResult& result = Addon::Of(env)->Probe();
  Napi::Object probe = Napi::Object::New(env);
  probe.Set("available", result.error == 0);
  probe.Set("reason", result.reason);
  probe.Set("errno", result.error);
  probe.Set("release", result.release);
  probe.Set("features", result.features);
  Napi::Uint8Array opcodes = Napi::Uint8Array::New(env, result.opcodes.size());
  // A thread that is being terminated makes none.
  if (opcodes.IsEmpty()) return {};
  std::copy(result.opcodes.begin(), result.opcodes.end(), opcodes.Data());
  probe.Set("opcodes", opcodes);
  return probe;
}

}  // namespace sheaf::napi
