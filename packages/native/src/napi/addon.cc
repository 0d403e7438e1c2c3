#include "napi/addon.h"

#include <cstdlib>

#include "napi/arguments.h"
#include "napi/probe_object.h"
#include "napi/region_object.h"
#include "napi/ring_object.h"
#include "napi/socket_calls.h"

namespace sheaf::napi {

Addon::Addon(Napi::Env env) {
  // Added before any ArrayBuffer of ours exists: hooks run in the opposite order, so Node.js has detached those when
  // the rings are closed, and nobody can look at memory that goes away. Asynchronous, as the loop takes another
  // iteration to let go of its handles and a worker's loop must be empty when it ends.
  napi_add_async_cleanup_hook(env, OnEnvironmentEnding, this, &cleanup_hook_);
}

Napi::ArrayBuffer Addon::DescriptorBits(Napi::Env env) {
  const auto& bits = descriptors_.bits();
  if (bits == nullptr) return {};
  if (descriptor_bits_.IsEmpty()) {
    const Napi::ArrayBuffer made = MakeArrayBuffer(env, bits, bits->size_bytes());
    if (made.IsEmpty()) return {};
    descriptor_bits_ = Napi::Persistent(made);
  }
  return descriptor_bits_.Value();
}

const kernel::ProbeResult& Addon::Probe() {
  if (!probe_) probe_ = kernel::ProbeKernel();
  return *probe_;
}

void Addon::RingOpened(RingObject* ring) {
  open_rings_.insert(ring);
}

void Addon::RingClosed(RingObject* ring) {
  open_rings_.erase(ring);
}

void Addon::RemindOthers(const RingObject* than) {
  for (RingObject* const ring : open_rings_) {
    if (ring != than) ring->Remind();
  }
}

void Addon::HookClosed() {
  open_hooks_--;
  if (ending_ && open_hooks_ == 0) FinishEnding();
}

void Addon::OnEnvironmentEnding(napi_async_cleanup_hook_handle /*handle*/, void* self) {
  auto* const addon = static_cast<Addon*>(self);
  addon->ending_ = true;
  // Before the sockets are closed: afterwards a file could be another's.
  addon->files_.RemoveAll();
  while (!addon->open_rings_.empty()) (*addon->open_rings_.begin())->CloseWithEnvironment();
  addon->descriptors_.CloseAll();
  if (addon->open_hooks_ == 0) addon->FinishEnding();
}

void Addon::FinishEnding() {
  // May free this.
  napi_remove_async_cleanup_hook(cleanup_hook_);
}

namespace {

/** As if what is given had been thrown with nothing of JavaScript's beneath it. */
void Raise(const Napi::CallbackInfo& info) {
  napi_fatal_exception(info.Env(), info[0]);
}

/**
 * Has the allocator keep up to 62 MB of what is given back at the end of its heap. It would return most to the kernel,
 * again and again, and what is encrypted next would go to memory that is touched for the first time. glibc raises that
 * threshold to twice the size of what was mapped on its own, at most 32 MB, and is freed; one that the user has set
 * stays.
 */
void KeepFreedMemory() {
  static const bool kept = [] {
    void* volatile mapped = malloc(size_t{31} << 20);
    free(mapped);
    return true;
  }();
  static_cast<void>(kept);
}

void Detach(const Napi::CallbackInfo& info) {
  KeepFreedMemory();
  const char* const expected = "an array of Uint8Array";
  if (!info[0].IsArray()) {
    ThrowType(info.Env(), "chunks", expected);
    return;
  }
  const auto chunks = info[0].As<Napi::Array>();
  const uint32_t count = chunks.Length();
  for (uint32_t index = 0; index != count; ++index) {
    const Napi::Value value = chunks[index];
    if (info.Env().IsExceptionPending()) return;
    napi_typedarray_type type{};
    size_t size_bytes = 0;
    napi_value memory = nullptr;
    // Fails for what is no typed array.
    const napi_status status =
        napi_get_typedarray_info(info.Env(), value, &type, &size_bytes, nullptr, &memory, nullptr);
    if (status != napi_ok || type != napi_uint8_array) {
      ThrowType(info.Env(), "chunks", expected);
      return;
    }
    Napi::ArrayBuffer buffer(info.Env(), memory);
    // Shared memory is no ArrayBuffer, and stays.
    if (!buffer.IsArrayBuffer() || buffer.IsDetached() || size_bytes != buffer.ByteLength()) continue;
    buffer.Detach();
    if (info.Env().IsExceptionPending()) return;
  }
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* const addon = new Addon(env);
  env.SetInstanceData<Addon>(addon);
  addon->ring_constructor() = Napi::Persistent(RingObject::Define(env));
  exports.Set("probe", Napi::Function::New<Probe>(env, "probe"));
  exports.Set("createRing", Napi::Function::New<CreateRing>(env, "createRing"));
  exports.Set("sockets", SocketCalls(env));
  exports.Set("detach", Napi::Function::New<Detach>(env, "detach"));
  exports.Set("raise", Napi::Function::New<Raise>(env, "raise"));
  return exports;
}

}  // namespace

NODE_API_MODULE(sheaf_native, Init)

}  // namespace sheaf::napi
