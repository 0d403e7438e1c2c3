// One io_uring: its two mappings, and the calls on it. Knows nothing of the event loop or of JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>

#include "kernel/abi.h"
#include "kernel/owned_descriptors.h"
#include "kernel/ring_setup.h"
#include "memory/region.h"

namespace sheaf::kernel {

/**
 * Set in the user data of requests whose result is a descriptor, or which receive messages that may have descriptors in
 * their control messages.
 */
inline constexpr uint64_t kDescriptorBit = uint64_t{1} << 63;

/** The user data of completions that were read before their turn. */
inline constexpr uint64_t kTaken = ~uint64_t{0};

/** Where multishot `RECVMSG` puts messages that may have descriptors. */
struct MessageBuffers {
  const std::byte* first;
  size_t buffer_size_bytes;
  /** From the beginning of a buffer to the control messages. */
  size_t control_offset_bytes;
};

/** How long closing a ring may wait for its requests to end. */
inline constexpr int64_t kCloseTimeoutMs = 1000;

/**
 * A ring, owned and used by one thread. Nothing here blocks but `Enter` with `min_complete`, what cancels, and `Close`.
 * After `Close` only `closed()` and the numbers may be asked for; every call answers `-EBADF`.
 */
class Ring {
 public:
  /** @returns 0 and the ring in `ring`, or `-errno`. */
  static int Create(const RingOptions& options, std::shared_ptr<Ring>* ring);

  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  [[nodiscard]] const abi::Params& params() const { return params_; }
  [[nodiscard]] const std::shared_ptr<memory::Region>& rings() const { return rings_; }
  [[nodiscard]] const std::shared_ptr<memory::Region>& submissions() const { return submissions_; }
  /** 0, or the `-errno` with which the kernel refused the restrictions asked for: then there are none. */
  [[nodiscard]] int restrictions_error() const { return restrictions_error_; }
  [[nodiscard]] bool closed() const { return fd_ < 0; }

  /** Submissions in the queue that the kernel has not taken. */
  [[nodiscard]] uint32_t Unsubmitted() const;
  /** Completions in the queue that nobody has reaped. */
  [[nodiscard]] bool HasCompletions() const;
  /** The kernel says that it has completions which only an enter will put into the queue. */
  [[nodiscard]] bool KernelHasMore() const;

  /** Submits what is in the queue; retries `-EINTR`. @returns entries taken, or `-errno`. */
  int Enter(uint32_t min_complete, uint32_t flags);
  int RegisterBufferRing(uint64_t address, uint32_t entries, uint16_t group_id, uint16_t flags);
  int UnregisterBufferRing(uint16_t group_id);
  int BufferRingHead(uint16_t group_id);
  /** The memory must last as long as the ring does. */
  void SetMessageBuffers(const MessageBuffers& buffers) { message_buffers_ = buffers; }
  int RegisterEventfd(int event_fd);
  int UnregisterEventfd();
  /** Sets or clears the word that keeps the kernel from signalling the eventfd. */
  void SetEventfdDisabled(bool disabled);

  /**
   * Cancels every request and waits until all have ended. Their completions stay in the queue.
   * @returns 0, `-ETIME` if some still run after `timeout_ms`, or another `-errno` (`-EINVAL` before 6.0).
   */
  int CancelAll(int64_t timeout_ms);
  /** Cancels the requests of these opcodes, or every one where the kernel can't be asked for these alone. */
  void CancelOperations(std::initializer_list<uint8_t> opcodes, int64_t timeout_ms);

  /**
   * Cancels what runs, within `kCloseTimeoutMs`, and closes the descriptor. Harmless when repeated.
   * The ring's own mappings stay, for whoever holds them; the kernel frees the ring when they are gone too.
   * Nobody will read the completions any more: what waits in the submission queue is submitted first (it may close
   * descriptors).
   * @param unread descriptors that have arrived (`kDescriptorBit`) are added here.
   * @returns whether every request is known to have ended, so that memory the kernel was told of may be given back.
   */
  bool Close(OwnedDescriptors* unread);

  /** Adds the descriptors of the completion at `position` of the queue to `owned`, and counts it as read. */
  void ReadDescriptors(uint32_t position, OwnedDescriptors* owned);

  /** Calls of `io_uring_enter` and submissions taken, since the ring was made. */
  [[nodiscard]] uint64_t enters() const { return enters_; }
  [[nodiscard]] uint64_t submitted() const { return submitted_; }

 private:
  Ring(int fd, const abi::Params& params) : fd_(fd), params_(params) {}
  int MapQueues();
  [[nodiscard]] const abi::Completion& CompletionAt(uint32_t position) const;
  void SetCompletionHead(uint32_t position);
  void AddUnreadDescriptors(OwnedDescriptors* owned);
  void AddDescriptors(const abi::Completion& completion, OwnedDescriptors* owned) const;
  void AddControlDescriptors(uint16_t buffer, OwnedDescriptors* owned) const;
  int SyncCancel(uint32_t flags, uint8_t opcode);
  bool RunsInWorkers();
  int RunTaskWork(int64_t deadline_ms);
  bool ClearTaskWorkSign();
  [[nodiscard]] bool ShowsTaskWork() const;
  [[nodiscard]] uint32_t CompletionTail() const;
  [[nodiscard]] uint32_t* Word(uint32_t offset) const;

  int fd_;
  abi::Params params_;
  std::optional<MessageBuffers> message_buffers_;
  int restrictions_error_ = 0;
  std::shared_ptr<memory::Region> rings_;
  std::shared_ptr<memory::Region> submissions_;
  uint64_t enters_ = 0;
  uint64_t submitted_ = 0;
};

}  // namespace sheaf::kernel
