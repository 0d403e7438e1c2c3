#include "kernel/ring.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

#include "kernel/exit_handler.h"
#include "kernel/system_calls.h"

namespace sheaf::kernel {

namespace {

/** A cancellation found a request that is executing, and did not wait for it. */
bool IsRunning(int answer) {
  return answer == -EALREADY || answer == -ETIME || answer == -EINTR;
}

/** Whether the kernel has made this process worker threads. One that has been idle for 5 s is gone. */
bool ProcessHasWorkers() {
  DIR* const threads = opendir("/proc/self/task");
  if (threads == nullptr) return true;
  bool found = false;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else reads this stream.
  while (const dirent* const entry = readdir(threads)) {
    const int fd = openat(dirfd(threads), (std::string(entry->d_name) + "/comm").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    std::array<char, 16> name{};
    const ssize_t length = read(fd, name.data(), name.size());
    close(fd);
    if (length > 0 && std::string_view(name.data(), static_cast<size_t>(length)).starts_with("iou-wrk-")) found = true;
  }
  closedir(threads);
  return found;
}

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

int Ring::Create(const RingOptions& options, std::shared_ptr<Ring>* ring) {
  abi::Params params;
  int restrictions_error = 0;
  const int fd = SetupWithOptions(options, &params, &restrictions_error);
  if (fd < 0) return fd;
  std::shared_ptr<Ring> made(new Ring(fd, params));
  made->restrictions_error_ = restrictions_error;
  const int result = made->MapQueues();
  if (result < 0) return result;
  CancelAtExit(made.get());
  *ring = std::move(made);
  return 0;
}

int Ring::MapQueues() {
  // Both are older than every flag and opcode that Sheaf needs; without the first there are three mappings, and
  // without the second completions are lost when their queue is full.
  constexpr uint32_t kNeeded = abi::kFeatureSingleMmap | abi::kFeatureNoDrop;
  if ((params_.features & kNeeded) != kNeeded) return -EOPNOTSUPP;

  const bool has_array = (params_.flags & abi::kSetupNoSqArray) == 0;
  const size_t completions_end = params_.cq_off.cqes + size_t{params_.cq_entries} * sizeof(abi::Completion);
  const size_t array_end = has_array ? params_.sq_off.array + size_t{params_.sq_entries} * sizeof(uint32_t) : 0;
  int error = 0;
  rings_ = memory::Region::OfRing(fd_, std::max(completions_end, array_end), abi::kMmapRings, &error);
  if (rings_ == nullptr) return -error;
  submissions_ =
      memory::Region::OfRing(fd_, size_t{params_.sq_entries} * sizeof(abi::Submission), abi::kMmapSubmissions, &error);
  if (submissions_ == nullptr) return -error;

  // Entry `i` of the queue is always submission `i`: whoever fills it need not know whether there is an array.
  if (has_array) {
    uint32_t* const array = Word(params_.sq_off.array);
    for (uint32_t index = 0; index < params_.sq_entries; index++) array[index] = index;
  }
  return 0;
}

Ring::~Ring() {
  // Not closed is only one that could not be made.
  if (!closed()) close(fd_);
}

uint32_t* Ring::Word(uint32_t offset) const {
  return reinterpret_cast<uint32_t*>(rings_->data() + offset);
}

// The heads, tails and flags are shared with the kernel. Those that JavaScript writes (submission tail, completion
// head) were written by this very thread; those that the kernel writes are read with acquire, so that what it wrote
// before is seen as well.

uint32_t Ring::Unsubmitted() const {
  if (closed()) return 0;
  const uint32_t head = __atomic_load_n(Word(params_.sq_off.head), __ATOMIC_ACQUIRE);
  const uint32_t tail = __atomic_load_n(Word(params_.sq_off.tail), __ATOMIC_RELAXED);
  return tail - head;
}

bool Ring::HasCompletions() const {
  if (closed()) return false;
  return __atomic_load_n(Word(params_.cq_off.head), __ATOMIC_RELAXED) != CompletionTail();
}

bool Ring::KernelHasMore() const {
  if (closed()) return false;
  const uint32_t flags = __atomic_load_n(Word(params_.sq_off.flags), __ATOMIC_ACQUIRE);
  return (flags & (abi::kSqTaskrun | abi::kSqCqOverflow)) != 0;
}

void Ring::SetEventfdDisabled(bool disabled) {
  if (closed()) return;
  // The kernel only reads this word, so there is nothing to merge with.
  __atomic_store_n(Word(params_.cq_off.flags), disabled ? abi::kCqEventfdDisabled : 0U, __ATOMIC_RELEASE);
}

int Ring::Enter(uint32_t min_complete, uint32_t flags) {
  if (closed()) return -EBADF;
  int result = 0;
  do {
    enters_++;
    // Asked anew on every try: a signal may arrive when some have been taken.
    const uint32_t unsubmitted = Unsubmitted();
    // One that submits may fail before it comes to the deferred work; the next one has nothing to submit.
    if (unsubmitted == 0 && (flags & abi::kEnterGetEvents) != 0) ClearTaskWorkSign();
    result = EnterRing(fd_, unsubmitted, min_complete, flags);
  } while (result == -EINTR);
  if (result > 0) submitted_ += static_cast<uint64_t>(result);
  return result;
}

int Ring::RegisterBufferRing(uint64_t address, uint32_t entries, uint16_t group_id, uint16_t flags) {
  if (closed()) return -EBADF;
  abi::BufferRingRegistration registration{};
  registration.ring_addr = address;
  registration.ring_entries = entries;
  registration.bgid = group_id;
  registration.flags = flags;
  return RegisterRing(fd_, abi::kRegisterBufferRing, &registration, 1);
}

int Ring::UnregisterBufferRing(uint16_t group_id) {
  if (closed()) return -EBADF;
  abi::BufferRingRegistration registration{};
  registration.bgid = group_id;
  return RegisterRing(fd_, abi::kUnregisterBufferRing, &registration, 1);
}

int Ring::BufferRingHead(uint16_t group_id) {
  if (closed()) return -EBADF;
  abi::BufferStatus status{};
  status.buf_group = group_id;
  const int result = RegisterRing(fd_, abi::kRegisterBufferStatus, &status, 1);
  return result < 0 ? result : static_cast<int>(status.head & 0xffffU);
}

int Ring::RegisterEventfd(int event_fd) {
  if (closed()) return -EBADF;
  return RegisterRing(fd_, abi::kRegisterEventfd, &event_fd, 1);
}

int Ring::UnregisterEventfd() {
  if (closed()) return -EBADF;
  return RegisterRing(fd_, abi::kUnregisterEventfd, nullptr, 0);
}

int Ring::CancelAll(int64_t timeout_ms) {
  if (closed()) return -EBADF;
  const int64_t deadline_ms = NowMs() + timeout_ms;
  while (true) {
    const int found = SyncCancel(abi::kAsyncCancelAll | abi::kAsyncCancelAny, 0);
    if (found < 0 && found != -ENOENT && !IsRunning(found)) return found;
    const bool running = RunsInWorkers();
    // Last, as what has ended since the two above were asked is task work by now.
    const int ran = RunTaskWork(deadline_ms);
    if (ran < 0) return ran;
    if ((found == 0 || found == -ENOENT) && !running && ran == 0) return 0;
    if (NowMs() >= deadline_ms) return -ETIME;
    if (!running) continue;
    const timespec pause{.tv_sec = 0, .tv_nsec = 100'000};
    nanosleep(&pause, nullptr);
  }
}

void Ring::CancelOperations(std::initializer_list<uint8_t> opcodes, int64_t timeout_ms) {
  if (closed()) return;
  for (const uint8_t opcode : opcodes) {
    if (SyncCancel(abi::kAsyncCancelAll | abi::kAsyncCancelOp, opcode) != -EINVAL) continue;
    // Before 6.6 one can't ask for these alone.
    CancelAll(timeout_ms);
    return;
  }
  RunTaskWork(NowMs() + timeout_ms);
}

int Ring::SyncCancel(uint32_t flags, uint8_t opcode) {
  abi::SyncCancel cancel{};
  cancel.fd = -1;
  cancel.flags = flags;
  cancel.opcode = opcode;
  return RegisterRing(fd_, abi::kRegisterSyncCancel, &cancel, 1);
}

/**
 * Whether a worker thread of the kernel's is executing a request. Cancelling ANY only interrupts those, and its answer
 * does not count them (seen on 6.18: the answer was 0, and the request ended later); asking for one opcode does.
 */
bool Ring::RunsInWorkers() {
  auto probe = std::make_unique<abi::Probe>();
  if (RegisterRing(fd_, abi::kRegisterProbe, probe.get(), abi::kMaxOpcodes) < 0) return ProcessHasWorkers();
  for (uint32_t opcode = 0; opcode <= probe->last_op; opcode++) {
    const int answer = SyncCancel(abi::kAsyncCancelOp, static_cast<uint8_t>(opcode));
    // Before 6.6 one can't ask.
    if (answer == -EINVAL) return ProcessHasWorkers();
    if (answer != -ENOENT) return true;
  }
  return false;
}

/**
 * Has this thread run what the kernel has deferred to it, by which cancelled requests end. Submits nothing.
 * One enter may run no more than a portion (about 20 requests from 6.13 on).
 * @returns 0 if there was nothing, 1 if there was, or `-errno`.
 */
int Ring::RunTaskWork(int64_t deadline_ms) {
  int ran = 0;
  while (true) {
    const uint32_t before = CompletionTail();
    const bool shown = ClearTaskWorkSign();
    enters_++;
    const int entered = EnterRing(fd_, 0, 0, abi::kEnterGetEvents);
    // A full completion queue keeps its overflow until somebody reaps; the requests themselves have ended.
    if (entered < 0 && entered != -EINTR && entered != -EBUSY && entered != -EAGAIN && entered != -EBADR) {
      return entered;
    }
    // Where deferred work does not show, an enter that brings nothing is the sign that there is none left.
    if (!shown && !ShowsTaskWork() && CompletionTail() == before) return ran;
    ran = 1;
    if (NowMs() >= deadline_ms) return ran;
  }
}

bool Ring::ShowsTaskWork() const {
  return (__atomic_load_n(Word(params_.sq_off.flags), __ATOMIC_ACQUIRE) & abi::kSqTaskrun) != 0;
}

/**
 * Takes the kernel's sign of deferred work back, before an enter that submits nothing and so surely runs all there is:
 * if that leaves some behind, or some is added, the kernel shows it again.
 * The sign would otherwise stay for good if it came late: who adds work shows it after adding it, and when this thread
 * has run the work in between, there is none left whose running would take the sign back (seen on 6.18, once in 50 000
 * requests that a worker thread of the kernel's completes while this one enters).
 * @returns whether there was the sign.
 */
bool Ring::ClearTaskWorkSign() {
  if (!ShowsTaskWork()) return false;
  // The kernel changes this word by atomic operations only, so no other flag is lost.
  __atomic_fetch_and(Word(params_.sq_off.flags), ~abi::kSqTaskrun, __ATOMIC_ACQ_REL);
  return true;
}

uint32_t Ring::CompletionTail() const {
  return __atomic_load_n(Word(params_.cq_off.tail), __ATOMIC_ACQUIRE);
}

const abi::Completion& Ring::CompletionAt(uint32_t position) const {
  const auto* const entries = reinterpret_cast<const abi::Completion*>(rings_->data() + params_.cq_off.cqes);
  return entries[position & (params_.cq_entries - 1)];
}

void Ring::SetCompletionHead(uint32_t position) {
  __atomic_store_n(Word(params_.cq_off.head), position, __ATOMIC_RELEASE);
}

void Ring::ReadDescriptors(uint32_t position, OwnedDescriptors* owned) {
  if (closed()) return;
  AddDescriptors(CompletionAt(position), owned);
  SetCompletionHead(position + 1);
}

void Ring::AddDescriptors(const abi::Completion& completion, OwnedDescriptors* owned) const {
  if ((completion.user_data & kDescriptorBit) == 0 || completion.user_data == kTaken || completion.res < 0) return;
  if ((completion.flags & abi::kCqeBuffer) != 0) {
    AddControlDescriptors(static_cast<uint16_t>(completion.flags >> abi::kCqeBufferShift), owned);
  } else {
    owned->Add(completion.res);
  }
}

/** Those that came with the message in a buffer. */
void Ring::AddControlDescriptors(uint16_t buffer, OwnedDescriptors* owned) const {
  if (!message_buffers_.has_value()) return;
  const auto& [first, buffer_size_bytes, control_offset_bytes] = *message_buffers_;
  const std::byte* const message = first + (buffer * buffer_size_bytes);
  abi::ReceivedMessage header{};
  std::memcpy(&header, message, sizeof(header));
  owned->AddReceived(message + control_offset_bytes, header.controllen);
}

void Ring::AddUnreadDescriptors(OwnedDescriptors* owned) {
  while (HasCompletions()) {
    const uint32_t tail = CompletionTail();
    for (uint32_t index = *Word(params_.cq_off.head); index != tail; index++) {
      AddDescriptors(CompletionAt(index), owned);
    }
    // What did not fit the queue is moved there by an enter.
    SetCompletionHead(tail);
    EnterRing(fd_, 0, 0, abi::kEnterGetEvents);
  }
}

bool Ring::Close(OwnedDescriptors* unread) {
  if (closed()) return true;
  if (Unsubmitted() != 0) Enter(0, 0);
  const bool ended = CancelAll(kCloseTimeoutMs) == 0;
  AddUnreadDescriptors(unread);
  ForgetAtExit(this);
  close(fd_);
  fd_ = -1;
  rings_.reset();
  submissions_.reset();
  return ended;
}

}  // namespace sheaf::kernel
