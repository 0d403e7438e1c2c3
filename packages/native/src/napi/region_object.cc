#include "napi/region_object.h"

#include <cerrno>

#include "napi/addon.h"
#include "napi/arguments.h"

namespace sheaf::napi {

namespace {

constexpr int64_t kMaxRegionBytes = int64_t{1} << 31;

}  // namespace

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

Napi::Value CreateRegion(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int64_t size_bytes = 0;
  if (!ReadInteger(info[0], "sizeBytes", 1, kMaxRegionBytes, &size_bytes)) return {};
  int error = 0;
  const auto region = memory::Region::Anonymous(static_cast<size_t>(size_bytes), &error);
  if (region == nullptr) return Napi::Number::New(env, -error);
  const Napi::ArrayBuffer buffer = MakeArrayBuffer(env, region, region->size_bytes());
  if (buffer.IsEmpty()) return Napi::Number::New(env, -EOPNOTSUPP);
  Addon::Of(env)->HoldInOpenRings(region);

  Napi::Object object = Napi::Object::New(env);
  object.Set("buffer", buffer);
  object.Set("address", static_cast<double>(reinterpret_cast<uintptr_t>(region->data())));
  object.Set("sizeBytes", static_cast<double>(region->size_bytes()));
  return object;
}

}  // namespace sheaf::napi
