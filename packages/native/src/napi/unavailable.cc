// The whole addon on systems other than Linux.
#include <napi.h>

namespace sheaf::napi {

namespace {

Napi::Value Probe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object probe = Napi::Object::New(env);
  probe.Set("available", false);
  probe.Set("reason", "io_uring is Linux's: this system has none.");
  probe.Set("errno", 0);
  probe.Set("release", "");
  probe.Set("features", 0);
  probe.Set("opcodes", Napi::Uint8Array::New(env, 0));
  return probe;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("probe", Napi::Function::New<Probe>(env, "probe"));
  return exports;
}

}  // namespace

NODE_API_MODULE(sheaf_native, Init)

}  // namespace sheaf::napi
