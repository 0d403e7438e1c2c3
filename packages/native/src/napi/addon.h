// What the addon keeps for each environment (the main thread's and each worker's), and its end.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <set>

#include "kernel/owned_descriptors.h"
#include "kernel/owned_files.h"
#include "kernel/probe.h"
#include "memory/region.h"

namespace sheaf::napi {

class RingObject;
struct RingParts;

/** Lives as long as its environment, on its thread. */
class Addon {
 public:
  explicit Addon(Napi::Env env);
  static Addon* Of(Napi::Env env) { return env.GetInstanceData<Addon>(); }

  const kernel::ProbeResult& Probe();

  Napi::FunctionReference& ring_constructor() { return ring_constructor_; }
  /** What the ring object being constructed is made of: null when JavaScript, not `createRing`, calls its class. */
  RingParts* ring_parts = nullptr;

  void RingOpened(RingObject* ring);
  void RingClosed(RingObject* ring);
  /** What has been called may have had any ring do something: those other `than` the one that has called it. */
  void RemindOthers(const RingObject* than);

  /** Those of this thread. */
  kernel::OwnedDescriptors* descriptors() { return &descriptors_; }
  kernel::OwnedFiles* files() { return &files_; }
  /** The descriptors' bits for JavaScript: empty if it can't have them. */
  Napi::ArrayBuffer DescriptorBits(Napi::Env env);

  /** A ring has joined the loop; the environment may not end before `HookClosed`. */
  void HookOpened() { open_hooks_++; }
  void HookClosed();

 private:
  static void OnEnvironmentEnding(napi_async_cleanup_hook_handle handle, void* self);
  void FinishEnding();

  Napi::FunctionReference ring_constructor_;
  std::optional<kernel::ProbeResult> probe_;
  kernel::OwnedDescriptors descriptors_;
  kernel::OwnedFiles files_;
  Napi::Reference<Napi::ArrayBuffer> descriptor_bits_;
  std::set<RingObject*> open_rings_;
  size_t open_hooks_ = 0;
  napi_async_cleanup_hook_handle cleanup_hook_ = nullptr;
  bool ending_ = false;
};

}  // namespace sheaf::napi
