#include "napi/ring_object.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "napi/arguments.h"
#include "napi/region_object.h"

namespace sheaf::napi {

namespace {

constexpr int64_t kMaxRegionBytes = int64_t{1} << 31;
constexpr int64_t kMaxSubmissionEntries = 32768;
constexpr int64_t kMaxCompletionEntries = 65536;
constexpr int64_t kMaxBufferRingEntries = 32768;
constexpr int64_t kMaxBusyPollMicroseconds = 1000;

size_t SizeToShow(SharedMemory which, const memory::Region& region) {
  return which == kWanted ? sizeof(loop::Wishes) : region.size_bytes();
}

Napi::Value Result(const Napi::CallbackInfo& info, int result) {
  return Napi::Number::New(info.Env(), result);
}

bool ReadRestrictions(Napi::Value value, std::optional<kernel::Restrictions>* restrictions) {
  if (value.IsUndefined()) return true;
  const Napi::Env env = value.Env();
  if (!value.IsObject()) {
    ThrowType(env, "options.restrictions", "of type object");
    return false;
  }
  const auto object = value.As<Napi::Object>();
  kernel::Restrictions& read = restrictions->emplace();
  const Napi::Value opcodes = object.Get("opcodes");
  Bytes bytes;
  if (opcodes.IsEmpty() || !ReadBytes(opcodes, "options.restrictions.opcodes", &bytes)) return false;
  read.opcodes.assign(bytes.data, bytes.data + bytes.size);
  const Napi::Value flags = object.Get("entryFlags");
  return !flags.IsEmpty() && Read(flags, "options.restrictions.entryFlags", 0, kMaxUint8, &read.entry_flags);
}

bool ReadOptions(Napi::Value value, kernel::RingOptions* options) {
  if (value.IsEmpty() || !value.IsObject()) {
    ThrowType(value.Env(), "options", "of type object");
    return false;
  }
  const auto object = value.As<Napi::Object>();
  const auto read = [&](const char* name, auto reader) {
    const Napi::Value found = object.Get(name);
    return !found.IsEmpty() && reader(found);
  };
  if (!read("submissionEntries", [&](Napi::Value found) {
        return ReadPowerOfTwo(found, "options.submissionEntries", 1, kMaxSubmissionEntries,
                              &options->submission_entries);
      })) {
    return false;
  }
  if (!read("completionEntries", [&](Napi::Value found) {
        return ReadPowerOfTwo(found, "options.completionEntries", int64_t{options->submission_entries} + 1,
                              kMaxCompletionEntries, &options->completion_entries);
      })) {
    return false;
  }
  if (!read("optionalFlags", [&](Napi::Value found) {
        if (!Read(found, "options.optionalFlags", 0, kMaxUint32, &options->optional_flags)) return false;
        if ((options->optional_flags & ~kernel::kAllowedSetupFlags) == 0) return true;
        ThrowRange(found.Env(), "options.optionalFlags", "made of flags that keep the layout of the queues");
        return false;
      })) {
    return false;
  }
  return read("restrictions", [&](Napi::Value found) { return ReadRestrictions(found, &options->restrictions); });
}

Napi::Object OffsetsObject(Napi::Env env, const abi::Params& params) {
  Napi::Object offsets = Napi::Object::New(env);
  offsets.Set("submissionHead", params.sq_off.head);
  offsets.Set("submissionTail", params.sq_off.tail);
  offsets.Set("submissionFlags", params.sq_off.flags);
  offsets.Set("submissionDropped", params.sq_off.dropped);
  offsets.Set("completionHead", params.cq_off.head);
  offsets.Set("completionTail", params.cq_off.tail);
  offsets.Set("completionFlags", params.cq_off.flags);
  offsets.Set("completionOverflow", params.cq_off.overflow);
  offsets.Set("completions", params.cq_off.cqes);
  return offsets;
}

}  // namespace

Napi::Value CreateRing(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  kernel::RingOptions options{};
  if (!ReadOptions(info[0], &options)) return {};

  RingParts parts;
  const int created = kernel::Ring::Create(options, &parts.ring);
  if (created < 0) return Result(info, created);
  int error = 0;
  parts.regions[kQueues] = parts.ring->rings();
  parts.regions[kSubmissions] = parts.ring->submissions();
  parts.regions[kWanted] = memory::Region::Anonymous(sizeof(loop::Wishes), &error);
  if (parts.regions[kWanted] == nullptr) return Result(info, -error);
  for (size_t index = 0; index < kSharedMemories; index++) {
    const auto& region = parts.regions[index];
    parts.buffers[index] = MakeArrayBuffer(env, region, SizeToShow(static_cast<SharedMemory>(index), *region));
    if (parts.buffers[index].IsEmpty()) return Result(info, -EOPNOTSUPP);
  }

  Addon* const addon = Addon::Of(env);
  if (addon->DescriptorBits(env).IsEmpty()) return Result(info, -EOPNOTSUPP);
  addon->ring_parts = &parts;
  const Napi::Object object = addon->ring_constructor().New({});
  addon->ring_parts = nullptr;
  return object;
}

Napi::Function RingObject::Define(Napi::Env env) {
  return DefineClass(env, "NativeRing",
                     {
                         InstanceMethod<&RingObject::CreateRegion>("createRegion", napi_default_method),
                         InstanceMethod<&RingObject::Enter>("enter", napi_default_method),
                         InstanceMethod<&RingObject::RegisterBufferRing>("registerBufferRing", napi_default_method),
                         InstanceMethod<&RingObject::UnregisterBufferRing>("unregisterBufferRing", napi_default_method),
                         InstanceMethod<&RingObject::BufferRingHead>("bufferRingHead", napi_default_method),
                         InstanceMethod<&RingObject::ReadDescriptors>("readDescriptors", napi_default_method),
                         InstanceMethod<&RingObject::SetMessageBuffers>("setMessageBuffers", napi_default_method),
                         InstanceMethod<&RingObject::CancelAll>("cancelAll", napi_default_method),
                         InstanceMethod<&RingObject::Attach>("attach", napi_default_method),
                         InstanceMethod<&RingObject::AskClosing>("askClosing", napi_default_method),
                         InstanceMethod<&RingObject::RefLoop>("ref", napi_default_method),
                         InstanceMethod<&RingObject::UnrefLoop>("unref", napi_default_method),
                         InstanceMethod<&RingObject::Counters>("counters", napi_default_method),
                         InstanceMethod<&RingObject::Close>("close", napi_default_method),
                     });
}

RingObject::RingObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<RingObject>(info), addon_(Addon::Of(info.Env())) {
  const Napi::Env env = info.Env();
  if (addon_->ring_parts == nullptr) {
    ThrowState(env, "ERR_ILLEGAL_CONSTRUCTOR", "A NativeRing is made by createRing()");
    return;
  }
  RingParts& parts = *std::exchange(addon_->ring_parts, nullptr);
  ring_ = std::move(parts.ring);
  regions_ = std::move(parts.regions);
  for (size_t index = 0; index < kSharedMemories; index++) buffers_[index] = Napi::Persistent(parts.buffers[index]);

  const abi::Params& params = ring_->params();
  const auto constant = [](const char* name, Napi::Value value) {
    return Napi::PropertyDescriptor::Value(name, value, napi_enumerable);
  };
  const auto number = [env](uint32_t value) { return Napi::Number::New(env, value); };
  info.This().As<Napi::Object>().DefineProperties({
      constant("submissionEntries", number(params.sq_entries)),
      constant("completionEntries", number(params.cq_entries)),
      constant("features", number(params.features)),
      constant("setupFlags", number(params.flags)),
      constant("restrictionsError", Napi::Number::New(env, ring_->restrictions_error())),
      constant("rings", parts.buffers[kQueues]),
      constant("offsets", OffsetsObject(env, params)),
      constant("submissions", parts.buffers[kSubmissions]),
      constant("wanted", parts.buffers[kWanted]),
      constant("descriptors", addon_->DescriptorBits(env)),
  });
  addon_->RingOpened(this);
}

RingObject::~RingObject() {
  if (ring_ != nullptr) CloseRing(ClosedBy::kCollector);
}

void RingObject::CloseWithEnvironment() {
  CloseRing(ClosedBy::kEnvironment);
}

void RingObject::CloseRing(ClosedBy by) {
  if (ring_->closed()) return;
  addon_->RingClosed(this);
  LeaveLoop();
  kernel::OwnedDescriptors unread;
  const bool ended = ring_->Close(by == ClosedBy::kEnvironment ? addon_->descriptors() : &unread);
  unread.CloseAll();
  GiveBackQueues(by);
  if (ended) {
    held_.clear();
  } else {
    // The kernel may write to these for as long as the process lives. Losing them is the lesser evil.
    [[maybe_unused]] const auto* const lost = new std::vector(std::move(held_));
  }
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): see above.

/**
 * Detaches the ArrayBuffers and unmaps what was behind them. A buffer that can't be detached, or has been by somebody
 * else (who may have moved its contents to another), keeps its memory until the collector lets go of it; so do the
 * buffers of a ring that was collected, as views of them may still be in use.
 */
void RingObject::GiveBackQueues(ClosedBy by) {
  for (size_t index = 0; index < kSharedMemories; index++) {
    bool unreachable = by == ClosedBy::kEnvironment;
    if (by == ClosedBy::kCaller) {
      const Napi::HandleScope scope(Env());
      Napi::ArrayBuffer buffer = buffers_[index].Value();
      unreachable = !buffer.IsDetached() && napi_detach_arraybuffer(Env(), buffer) == napi_ok;
    }
    if (unreachable) regions_[index]->Unmap();
    regions_[index].reset();
    buffers_[index].Reset();
  }
}

void RingObject::LeaveLoop() {
  if (hook_ == nullptr) return;
  counts_ = hook_->counts();
  hook_->Close();
  hook_ = nullptr;
  turn_.Reset();
  closing_.Reset();
  Unref();
}

/**
 * In no async context: one would keep that of whoever happened to make the ring, for everything that is told and has no
 * other, and for good.
 */
bool RingObject::CallTurn() {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  napi_value rest = nullptr;
  if (!Called(napi_make_callback(env, nullptr, Value(), turn_.Value(), 0, nullptr, &rest))) return false;
  return rest == nullptr || !Napi::Value(env, rest).IsFunction() || CallOutsideScope(rest);
}

bool RingObject::CallClosing() {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  const Napi::Function tell = closing_.Value();
  closing_.Reset();
  return Called(napi_make_callback(env, nullptr, Value(), tell, 0, nullptr, nullptr));
}

/**
 * Calls a function with no callback scope entered. Scopes that C++ enters from there are the outermost, and what they
 * leave waiting (`process.nextTick`, promises) runs when each is left.
 */
bool RingObject::CallOutsideScope(napi_value function) {
  const Napi::Env env = Env();
  if (!Called(napi_call_function(env, env.Global(), function, 0, nullptr, nullptr))) return false;
  // And what the function itself leaves waiting.
  return Called(napi_make_callback(env, nullptr, Value(), nothing_.Value(), 0, nullptr, nullptr));
}

/** Reports what a call into JavaScript has thrown. @returns false when nothing can be called any more. */
bool RingObject::Called(napi_status status) {
  if (status == napi_ok) return true;
  const Napi::Env env = Env();
  // Without an exception, JavaScript was not run at all: the environment is stopping.
  if (!env.IsExceptionPending()) return false;
  napi_value error = nullptr;
  return napi_get_and_clear_last_exception(env, &error) == napi_ok && Raise(env, error);
}

void RingObject::ReportEnterError(int error) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  const char* const name = loop::ErrorName(error);
  Napi::Error thrown = Napi::Error::New(env, std::string("io_uring_enter ") + name);
  thrown.Set("errno", Napi::Number::New(env, error));
  thrown.Set("code", Napi::String::New(env, name));
  thrown.Set("syscall", Napi::String::New(env, "io_uring_enter"));
  Raise(env, thrown.Value());
}

bool RingObject::Raise(napi_env env, napi_value error) {
  if (napi_fatal_exception(env, error) == napi_ok) return true;
  // Nobody can be told: the environment is stopping.
  napi_value ignored = nullptr;
  napi_get_and_clear_last_exception(env, &ignored);
  return false;
}

Napi::Value RingObject::CreateRegion(const Napi::CallbackInfo& info) {
  int64_t size_bytes = 0;
  if (!ReadInteger(info[0], "sizeBytes", 1, kMaxRegionBytes, &size_bytes)) return {};
  if (ring_->closed()) return Result(info, -EBADF);
  int error = 0;
  const auto region = memory::Region::Anonymous(static_cast<size_t>(size_bytes), &error);
  if (region == nullptr) return Result(info, -error);
  const Napi::Value object = RegionObject(info.Env(), region);
  if (!object.IsObject()) return Result(info, -EOPNOTSUPP);
  held_.push_back(region);
  return object;
}

Napi::Value RingObject::Enter(const Napi::CallbackInfo& info) {
  uint32_t min_complete = 0;
  uint32_t flags = 0;
  if (!Read(info[0], "minComplete", 0, kMaxUint32, &min_complete) || !Read(info[1], "flags", 0, kMaxUint32, &flags)) {
    return {};
  }
  return Result(info, ring_->Enter(min_complete, flags));
}

Napi::Value RingObject::RegisterBufferRing(const Napi::CallbackInfo& info) {
  uint64_t address = 0;
  uint32_t entries = 0;
  uint16_t group_id = 0;
  uint16_t flags = 0;
  if (!Read(info[0], "address", 0, kMaxSafeInteger, &address) ||
      !ReadPowerOfTwo(info[1], "entries", 1, kMaxBufferRingEntries, &entries) ||
      !Read(info[2], "groupId", 0, kMaxUint16, &group_id) || !Read(info[3], "flags", 0, kMaxUint16, &flags)) {
    return {};
  }
  return Result(info, ring_->RegisterBufferRing(address, entries, group_id, flags));
}

Napi::Value RingObject::UnregisterBufferRing(const Napi::CallbackInfo& info) {
  uint16_t group_id = 0;
  if (!Read(info[0], "groupId", 0, kMaxUint16, &group_id)) return {};
  return Result(info, ring_->UnregisterBufferRing(group_id));
}

void RingObject::ReadDescriptors(const Napi::CallbackInfo& info) {
  uint32_t position = 0;
  if (Read(info[0], "position", 0, kMaxUint32, &position)) ring_->ReadDescriptors(position, addon_->descriptors());
}

Napi::Value RingObject::SetMessageBuffers(const Napi::CallbackInfo& info) {
  uint64_t address = 0;
  uint32_t buffer_size_bytes = 0;
  uint32_t control_offset_bytes = 0;
  if (!Read(info[0], "address", 0, kMaxSafeInteger, &address) ||
      !Read(info[1], "bufferBytes", 1, kMaxInt32, &buffer_size_bytes) ||
      !Read(info[2], "controlOffsetBytes", 0, kMaxInt32, &control_offset_bytes)) {
    return {};
  }
  const auto* const first = reinterpret_cast<const std::byte*>(address);  // NOLINT(performance-no-int-to-ptr)
  ring_->SetMessageBuffers({first, buffer_size_bytes, control_offset_bytes});
  return info.Env().Undefined();
}

Napi::Value RingObject::BufferRingHead(const Napi::CallbackInfo& info) {
  uint16_t group_id = 0;
  if (!Read(info[0], "groupId", 0, kMaxUint16, &group_id)) return {};
  return Result(info, ring_->BufferRingHead(group_id));
}

Napi::Value RingObject::CancelAll(const Napi::CallbackInfo& info) {
  int64_t timeout_ms = 0;
  if (!ReadInteger(info[0], "timeoutMs", 0, kMaxInt32, &timeout_ms)) return {};
  return Result(info, ring_->CancelAll(timeout_ms));
}

void RingObject::Attach(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Function turn;
  loop::TurnHook::Options options{};
  uint32_t busy_poll_microseconds = 0;
  if (!ReadFunction(info[0], "turn", &turn) || !Read(info[1], "maxRounds", 1, kMaxUint16, &options.max_rounds) ||
      !Read(info[2], "busyPollMicroseconds", 0, kMaxBusyPollMicroseconds, &busy_poll_microseconds)) {
    return;
  }
  options.busy_poll = std::chrono::microseconds(busy_poll_microseconds);
  if (ring_->closed()) return ThrowState(env, "ERR_INVALID_STATE", "The ring is closed");
  if (hook_ != nullptr) return ThrowState(env, "ERR_INVALID_STATE", "The ring is attached already");

  uv_loop_s* event_loop = nullptr;
  if (napi_get_uv_event_loop(env, &event_loop) != napi_ok) {
    return ThrowState(env, "ERR_INVALID_STATE", "The environment has no event loop to join");
  }
  auto* const wishes = reinterpret_cast<loop::Wishes*>(regions_[kWanted]->data());
  const loop::TurnHook::Told told{
      [this, addon = addon_] { addon->RemindOthers(this); },
      [addon = addon_] { addon->HookClosed(); },
  };
  const int created = loop::TurnHook::Create(event_loop, ring_, wishes, options, this, told, &hook_);
  if (created < 0) return ThrowState(env, loop::ErrorName(created), "The ring can't join the event loop");
  addon_->HookOpened();
  turn_ = Napi::Persistent(turn);
  nothing_ = Napi::Persistent(Napi::Function::New(env, [](const Napi::CallbackInfo& /*info*/) {}));
  hook_->SetReferenced(referenced_);
  Ref();
}

void RingObject::AskClosing(const Napi::CallbackInfo& info) {
  Napi::Function tell;
  if (!ReadFunction(info[0], "tell", &tell)) return;
  if (hook_ == nullptr) return ThrowState(info.Env(), "ERR_INVALID_STATE", "The ring is not attached");
  closing_ = Napi::Persistent(tell);
  hook_->AskClosing();
}

void RingObject::Remind() {
  if (hook_ != nullptr) hook_->Remind();
}

void RingObject::RefLoop(const Napi::CallbackInfo& /*info*/) {
  referenced_ = true;
  if (hook_ != nullptr) hook_->SetReferenced(true);
}

void RingObject::UnrefLoop(const Napi::CallbackInfo& /*info*/) {
  referenced_ = false;
  if (hook_ != nullptr) hook_->SetReferenced(false);
}

Napi::Value RingObject::Counters(const Napi::CallbackInfo& info) {
  const auto number = [&info](uint64_t count) { return Napi::Number::New(info.Env(), static_cast<double>(count)); };
  const loop::TurnCounts counts = hook_ != nullptr ? hook_->counts() : counts_;
  Napi::Object counters = Napi::Object::New(info.Env());
  counters.Set("enters", number(ring_->enters()));
  counters.Set("submitted", number(ring_->submitted()));
  counters.Set("turns", number(counts.turns));
  counters.Set("wakeups", number(counts.wakeups));
  counters.Set("busyPolls", number(counts.busy_polls));
  counters.Set("busyPollsFound", number(counts.busy_polls_found));
  const std::chrono::duration<double, std::milli> busy_poll_ms = counts.busy_poll_time;
  counters.Set("busyPollMs", Napi::Number::New(info.Env(), busy_poll_ms.count()));
  return counters;
}

void RingObject::Close(const Napi::CallbackInfo& /*info*/) {
  CloseRing(ClosedBy::kCaller);
}

}  // namespace sheaf::napi
