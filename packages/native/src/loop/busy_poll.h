// Looking for work instead of sleeping until it comes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace sheaf::loop {

/**
 * Looks for work for a while before the loop blocks. What comes in that time costs neither side a wake-up; what does
 * not come has cost the time. So it is looked for often only while more than half of the looks find something: each
 * that does halves how many are left out before the next, each that does not doubles it.
 */
class BusyPoll {
 public:
  /** @param duration of one look; 0 for none. */
  explicit BusyPoll(std::chrono::microseconds duration) : duration_(duration) {}

  /** Something was sent: who was sent it may answer soon, and whoever only sends does not wait for us. */
  void Expect() { expected_ = kBlockingsExpected; }

  /** To be called whenever the loop would block. @returns whether `has_work` has become true. */
  template <typename HasWork>
  bool Find(const HasWork& has_work) {
    if (duration_.count() == 0 || expected_ == 0) return false;
    expected_--;
    if (left_out_ < interval_) {
      left_out_++;
      return false;
    }
    left_out_ = 0;
    looks_++;
    const auto begin = std::chrono::steady_clock::now();
    auto now = begin;
    bool found = false;
    do {
      Relax();
      found = has_work();
      now = std::chrono::steady_clock::now();
    } while (!found && now - begin < duration_);
    time_ += now - begin;
    if (found) {
      found_++;
      interval_ /= 2;
    } else {
      interval_ = std::min(interval_ * 2 + 1, kIntervalMax);
    }
    return found;
  }

  [[nodiscard]] uint64_t looks() const { return looks_; }
  [[nodiscard]] uint64_t found() const { return found_; }
  /** What all looks have taken. */
  [[nodiscard]] std::chrono::nanoseconds time() const { return time_; }

 private:
  static constexpr uint32_t kIntervalMax = 63;
  static constexpr uint32_t kBlockingsExpected = 4;

  /** Leaves the core to the thread beside this one, if there is one. */
  static void Relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const std::chrono::microseconds duration_;
  /** Times that the loop blocks without a look between two looks. */
  uint32_t interval_ = kIntervalMax;
  uint32_t left_out_ = 0;
  /** Times that the loop may block until nothing is expected any more. */
  uint32_t expected_ = 0;
  uint64_t looks_ = 0;
  uint64_t found_ = 0;
  std::chrono::nanoseconds time_{0};
};

}  // namespace sheaf::loop
