// A ring as a JavaScript object.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernel/ring.h"
#include "loop/turn.h"
#include "memory/region.h"
#include "napi/addon.h"

namespace sheaf::napi {

/** `createRing(options)`. */
Napi::Value CreateRing(const Napi::CallbackInfo& info);

/** What a ring shares with JavaScript, each a region and an ArrayBuffer. */
enum SharedMemory : size_t { kQueues, kSubmissions, kWanted, kSharedMemories };

/** What a ring object is made of. */
struct RingParts {
  std::shared_ptr<kernel::Ring> ring;
  std::array<std::shared_ptr<memory::Region>, kSharedMemories> regions;
  std::array<Napi::ArrayBuffer, kSharedMemories> buffers;
};

/**
 * Closed by its owner, with its environment, or when collected. While it is attached it can't be collected: the loop
 * holds it.
 */
class RingObject : public Napi::ObjectWrap<RingObject>, public loop::TurnTarget {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit RingObject(const Napi::CallbackInfo& info);
  ~RingObject() override;

  /** Closes it when no JavaScript runs in this environment any more. */
  void CloseWithEnvironment();
  /** See `loop::TurnHook::Remind`. */
  void Remind();

  bool CallTurn() override;
  bool CallClosing() override;
  void ReportEnterError(int error) override;

 private:
  enum class ClosedBy { kCaller, kCollector, kEnvironment };

  void CloseRing(ClosedBy by);
  void GiveBackQueues(ClosedBy by);
  void LeaveLoop();
  // Each answers whether JavaScript can still be called.
  bool CallOutsideScope(napi_value function);
  bool Called(napi_status status);
  static bool Raise(napi_env env, napi_value error);

  Napi::Value CreateRegion(const Napi::CallbackInfo& info);
  Napi::Value Enter(const Napi::CallbackInfo& info);
  Napi::Value RegisterBufferRing(const Napi::CallbackInfo& info);
  Napi::Value UnregisterBufferRing(const Napi::CallbackInfo& info);
  Napi::Value BufferRingHead(const Napi::CallbackInfo& info);
  void ReadDescriptors(const Napi::CallbackInfo& info);
  Napi::Value SetMessageBuffers(const Napi::CallbackInfo& info);
  Napi::Value CancelAll(const Napi::CallbackInfo& info);
  void Attach(const Napi::CallbackInfo& info);
  void AskClosing(const Napi::CallbackInfo& info);
  void RefLoop(const Napi::CallbackInfo& info);
  void UnrefLoop(const Napi::CallbackInfo& info);
  Napi::Value Counters(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  Addon* const addon_;
  std::shared_ptr<kernel::Ring> ring_;
  std::array<std::shared_ptr<memory::Region>, kSharedMemories> regions_;
  std::array<Napi::Reference<Napi::ArrayBuffer>, kSharedMemories> buffers_;
  /** What it has made for what its requests name: mapped until it is closed. */
  std::vector<std::shared_ptr<memory::Region>> held_;
  loop::TurnHook* hook_ = nullptr;
  Napi::FunctionReference turn_;
  Napi::FunctionReference closing_;
  Napi::FunctionReference nothing_;
  bool referenced_ = false;
  /** Those of the hook when it left the loop. */
  loop::TurnCounts counts_;
};

}  // namespace sheaf::napi
