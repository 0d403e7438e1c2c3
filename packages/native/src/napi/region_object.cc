#include "napi/region_object.h"

namespace sheaf::napi {

Napi::ArrayBuffer MakeArrayBuffer(Napi::Env env, const std::shared_ptr<memory::Region>& region, size_t size_bytes) {
  auto* const holder = new std::shared_ptr<memory::Region>(region);
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, region->data(), size_bytes,
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<memory::Region>*>(hint); }, holder, &buffer);
  if (status != napi_ok) {
    delete holder;
    if (env.IsExceptionPending()) env.GetAndClearPendingException();
    return {};
  }
  return {env, buffer};
}

Napi::Value RegionObject(Napi::Env env, const std::shared_ptr<memory::Region>& region) {
  const Napi::ArrayBuffer buffer = MakeArrayBuffer(env, region, region->size_bytes());
  if (buffer.IsEmpty()) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object.Set("buffer", buffer);
  object.Set("address", static_cast<double>(reinterpret_cast<uintptr_t>(region->data())));
  object.Set("sizeBytes", static_cast<double>(region->size_bytes()));
  return object;
}

}  // namespace sheaf::napi
