#include "loop/turn.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace sheaf::loop {

// ## Why no wake-up is lost
//
// The loop blocks in epoll on an eventfd that the kernel signals for each completion (or, with DEFER_TASKRUN, when
// there is deferred work to run). A signal for what we are about to look at anyway costs an epoll return, a read and
// an enter, so the kernel is told not to signal (CQ_EVENTFD_DISABLED) from the moment we start to look until the loop
// may block. This is safe if, when the loop blocks, the word is clear and all work posted before the clearing has been
// seen. With C our clearing and R the check that follows it, and P the kernel's posting (the completion queue's tail,
// or SQ_TASKRUN) and T its test of the word:
//
//     here:    C (word = 0) ; full barrier ; R (tail, flags)
//     kernel:  P            ; full barrier ; T (word)
//
// At least one of R and T comes after the other side's write: either we see the work and don't block, or the kernel
// sees the word clear and signals. The second barrier is the kernel's to give:
//   - for completions posted directly there is a lock's release and a wake-up check with a full barrier in between;
//   - for deferred work, P is an atomic OR that returns nothing. On x86 every locked instruction is a full barrier.
//     On arm64, where it is not, T could be satisfied before P is visible; there we leave the eventfd alone.
//
// Deferred work must be visible for R to see it: with DEFER_TASKRUN but without TASKRUN_FLAG the word stays clear too.
// Work that is added to work already pending is not signalled at all, and needs not be: SQ_TASKRUN stays set until an
// enter has run it, and is set again if that enter leaves some behind (6.13 runs about 20 at a time). It may also stay
// set when all has been run; the next enter, `Ring::Enter`, mends that, or the loop would never block.
//
// After a wake-up the word stays set although `OnWakeup` has returned: libuv comes past `BeforeBlocking` before it
// blocks again. What the eventfd says is taken there before the word is cleared, never between that and blocking.

namespace {

#if defined(__x86_64__)
constexpr bool kLockedOrIsFullBarrier = true;
#else
constexpr bool kLockedOrIsFullBarrier = false;
#endif

/** `Wishes::deferred`: the loop polls. */
constexpr uint32_t kDue = 2;

/** A turn that has taken so long, in nanoseconds, is the last before the loop's other handles have theirs. */
constexpr uint64_t kLongTurn = 1'000'000;

/** An enter found no room or no memory for now. */
bool IsBusy(int entered) {
  return entered == -EBUSY || entered == -EAGAIN;
}

}  // namespace

const char* ErrorName(int error) {
  return uv_err_name(error);
}

struct TurnHook::Handles {
  uv_prepare_t prepare;
  uv_poll_t poll;
  /** Never started: it is made to be closed. */
  uv_idle_t closing;
};

int TurnHook::Create(uv_loop_s* loop, std::shared_ptr<kernel::Ring> ring, Wishes* wishes, const Options& options,
                     TurnTarget* target, Told told, TurnHook** hook) {
  const int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd < 0) return -errno;
  const int registered = ring->RegisterEventfd(event_fd);
  if (registered < 0) {
    close(event_fd);
    return registered;
  }
  auto* made = new TurnHook(std::move(ring), wishes, options, target, std::move(told));
  made->event_fd_ = event_fd;
  auto* handles = made->handles_.get();
  // The one that can fail is first: what it would leave behind is not a handle of the loop.
  const int polled = uv_poll_init(loop, &handles->poll, event_fd);
  if (polled != 0) {
    made->ring_->UnregisterEventfd();
    close(event_fd);
    delete made;
    return polled;
  }
  uv_prepare_init(loop, &handles->prepare);
  made->open_handles_ = 2;
  handles->poll.data = made;
  handles->prepare.data = made;
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles->poll));
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles->prepare));
  uv_poll_start(&handles->poll, UV_READABLE,
                [](uv_poll_t* handle, int, int) { static_cast<TurnHook*>(handle->data)->OnWakeup(); });
  uv_prepare_start(&handles->prepare,
                   [](uv_prepare_t* handle) { static_cast<TurnHook*>(handle->data)->BeforeBlocking(); });
  *hook = made;
  return 0;
}

TurnHook::TurnHook(std::shared_ptr<kernel::Ring> ring, Wishes* wishes, const Options& options, TurnTarget* target,
                   Told told)
    : ring_(std::move(ring)),
      wishes_(wishes),
      max_rounds_(options.max_rounds),
      target_(target),
      told_(std::move(told)),
      handles_(std::make_unique<Handles>()),
      taskrun_visible_((ring_->params().flags & abi::kSetupTaskrunFlag) != 0),
      suppresses_wakeups_(kLockedOrIsFullBarrier &&
                          ((ring_->params().flags & abi::kSetupDeferTaskrun) == 0 || taskrun_visible_)),
      busy_poll_(options.busy_poll) {
}

TurnHook::~TurnHook() = default;

void TurnHook::SetReferenced(bool referenced) {
  if (open_handles_ == 0 || ring_ == nullptr) return;
  auto* const handle = reinterpret_cast<uv_handle_t*>(&handles_->poll);
  if (referenced) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void TurnHook::Close() {
  if (ring_ == nullptr) return;
  stopped_ = true;
  ring_->UnregisterEventfd();
  ring_.reset();
  const auto on_close = [](uv_handle_t* handle) { static_cast<TurnHook*>(handle->data)->HandleClosed(); };
  uv_close(reinterpret_cast<uv_handle_t*>(&handles_->poll), on_close);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles_->prepare), on_close);
  // libuv allows this as soon as uv_close() has returned.
  close(event_fd_);
  event_fd_ = -1;
}

void TurnHook::HandleClosed() {
  open_handles_--;
  if (open_handles_ != 0) return;
  const std::function<void()> closed = std::move(told_.closed);
  delete this;
  closed();
}

void TurnHook::AskClosing() {
  if (ring_ == nullptr || asked_closing_) return;
  asked_closing_ = true;
  uv_idle_init(handles_->prepare.loop, &handles_->closing);
  open_handles_++;
  handles_->closing.data = this;
  uv_close(reinterpret_cast<uv_handle_t*>(&handles_->closing),
           [](uv_handle_t* handle) { static_cast<TurnHook*>(handle->data)->OnClosing(); });
}

void TurnHook::OnClosing() {
  asked_closing_ = false;
  if (ring_ == nullptr) {
    HandleClosed();
    return;
  }
  open_handles_--;
  // May close this hook and its ring.
  if (!stopped_ && !target_->CallClosing()) stopped_ = true;
}

/** Has the kernel take what was staged. What it posts is told when libuv polls, where Node's own events are. */
void TurnHook::BeforeBlocking() {
  if (stopped_) return;
  yielded_ = false;
  __atomic_fetch_add(&wishes_->iterations, 1, __ATOMIC_RELAXED);
  wishes_->busy = LoopIsBusy() ? 1 : 0;
  if (std::exchange(wishes_->again, 0) != 0) wishes_->turn = 1;
  const uint64_t turns = turns_;
  if (Submit() && !stopped_) Signal();
  if (turns_ != turns) told_.turned();
}

void TurnHook::Remind() {
  if (HasWork() || HasDeferred()) Signal();
}

/** @returns whether the loop is not to block. */
bool TurnHook::Submit() {
  if (suppresses_wakeups_) ring_->SetEventfdDisabled(true);
  const uint64_t began = uv_hrtime();
  for (uint32_t round = 0; round < max_rounds_ && !HasEvents() && !HasDeferred(); round++) {
    if (round != 0 && uv_hrtime() - began > kLongTurn) {
      yielded_ = true;
      return true;
    }
    if (Wanted() && !TakeTurn()) return false;
    // What has been told may have taken away what the loop was busy with, and what waits for that.
    if (wishes_->again != 0 && !LoopIsBusy()) {
      wishes_->again = wishes_->busy = 0;
      wishes_->turn = 1;
      continue;
    }
    if (!HasWork() && !FindWork()) {
      // To take it and give it again are two system calls, and the loop is about to come again.
      if (signalled_ && LoopIsBusy()) return false;
      ForgetSignal();
      if (Settle()) return false;
    }
    if (ring_->Unsubmitted() == 0 && !ring_->KernelHasMore()) continue;
    const int entered = Enter();
    if (entered < 0 && !IsBusy(entered)) {
      ForgetSignal();
      return EnterFailed(entered);
    }
    // No room or no memory for now: it is tried again when the loop has polled.
    if (entered < 0) return true;
  }
  return true;
}

/**
 * Looks for what the kernel posts before the loop blocks, if it would and if it can be seen.
 * @returns whether there is work.
 */
bool TurnHook::FindWork() {
  if (!taskrun_visible_ || LoopIsBusy()) return false;
  if (std::exchange(wishes_->sent, 0) != 0) busy_poll_.Expect();
  if (!busy_poll_.Find([this] { return HasWork(); })) return false;
  __atomic_store_n(&wishes_->woken, 1, __ATOMIC_RELAXED);
  return true;
}

int TurnHook::Enter() {
  const int entered = ring_->Enter(0, abi::kEnterGetEvents);
  if (entered < 0 && !IsBusy(entered)) return entered;
  FinishChains();
  error_reported_ = false;
  return entered;
}

void TurnHook::OnWakeup() {
  if (!signalled_) __atomic_store_n(&wishes_->woken, 1, __ATOMIC_RELAXED);
  // What the hook has signalled stays, so that a loop with something to do needs no more system calls. Where the kernel
  // does not show deferred work, its signal may be in there, too: it is taken before an enter, and only then.
  if (!signalled_ || !taskrun_visible_) TakeSignals();
  wakeups_++;
  if (stopped_) return;
  if (yielded_) {
    Signal();
  } else {
    wishes_->polling = 1;
    if (HasDeferred()) wishes_->deferred = kDue;
    Run(!taskrun_visible_);
    // The ring may be closed, and its memory with it.
    if (ring_ != nullptr) wishes_->polling = 0;
  }
}

/** Has libuv call the hook when it polls next, and not block before it has. */
void TurnHook::Signal() {
  if (signalled_) return;
  signalled_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t length = write(event_fd_, &one, sizeof(one));
}

/** There is nothing left to be called for. A signal that may be the only sign of deferred work stays. */
void TurnHook::ForgetSignal() {
  if (signalled_ && taskrun_visible_) TakeSignals();
}

void TurnHook::TakeSignals() {
  uint64_t signals = 0;
  // Empty when another wake-up has been merged with this one, which is as good.
  [[maybe_unused]] const ssize_t length = read(event_fd_, &signals, sizeof(signals));
  signalled_ = false;
}

/**
 * One turn: submit, reap and dispatch until nothing is left, or the loop has something to do before it would block, or
 * `max_rounds` or `kLongTurn` are over, so that the loop's other handles get theirs. What is left comes before the loop
 * blocks.
 * @param forced enter once even if there seems to be nothing to do.
 */
void TurnHook::Run(bool forced) {
  if (suppresses_wakeups_) ring_->SetEventfdDisabled(true);
  // What has come of what was told before is told along with that, as libuv tells all that has come when it polls.
  if (HasEvents() && ring_->KernelHasMore()) {
    const int entered = Enter();
    if (entered < 0 && !IsBusy(entered) && !EnterFailed(entered)) return;
  }
  // Something has happened since the loop ran what was waiting.
  bool dispatched = Wanted() && HasEvents();
  if (Wanted() && !TakeTurn()) return;
  const uint64_t began = uv_hrtime();
  for (uint32_t round = 0; round < max_rounds_; round++) {
    if (!forced && !HasWork()) return;
    if (round != 0 && uv_hrtime() - began > kLongTurn) return;
    if (forced || ring_->Unsubmitted() != 0 || ring_->KernelHasMore()) {
      forced = false;
      const int entered = Enter();
      if (entered < 0 && !IsBusy(entered)) {
        EnterFailed(entered);
        return;
      }
      // No room or no memory for now: after what can be dispatched has been, it is tried again.
      if (entered < 0 && !HasEvents() && !Wanted()) return;
    }
    if (!HasEvents() && !Wanted()) continue;
    // libuv polls once an iteration: immediates that an event has left come before whatever came of that event.
    if (dispatched && LoopIsBusy()) return;
    if (!TakeTurn()) return;
    dispatched = true;
  }
}

/** @returns whether the loop would not block: immediates are waiting, a timer is due, or a handle is closing. */
bool TurnHook::LoopIsBusy() const {
  return uv_backend_timeout(handles_->prepare.loop) == 0;
}

/** @returns whether nothing is left to do; if so, the kernel may wake the loop again. */
bool TurnHook::Settle() {
  if (HasWork()) return false;
  if (!suppresses_wakeups_) return true;
  ring_->SetEventfdDisabled(false);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!HasWork()) return true;
  ring_->SetEventfdDisabled(true);
  return false;
}

/** @returns whether to go on. */
bool TurnHook::TakeTurn() {
  turns_++;
  // May close this hook and its ring.
  const bool callable = target_->CallTurn();
  if (!callable) stopped_ = true;
  return !stopped_;
}

/**
 * Reports an error that trying again at once won't mend, and has it tried once more in the loop's next iteration. If
 * it stays, the loop may block: it must not spin on a ring that is broken.
 * @returns whether there is work left.
 */
bool TurnHook::EnterFailed(int error) {
  if (!error_reported_) {
    error_reported_ = true;
    // May close this hook and its ring.
    target_->ReportEnterError(error);
    return !stopped_;
  }
  if (suppresses_wakeups_) ring_->SetEventfdDisabled(false);
  return false;
}

/**
 * The kernel starts one request of each chain of linked ones in an enter (6.18): JavaScript is called once for all that
 * go through without waiting, not once for each, which costs as much as sending a datagram.
 */
void TurnHook::FinishChains() {
  for (uint32_t left = std::exchange(wishes_->linked, 0); left != 0 && ring_->KernelHasMore(); left--) {
    if (ring_->Enter(0, abi::kEnterGetEvents) < 0) return;
  }
}

bool TurnHook::Wanted() const {
  return __atomic_load_n(&wishes_->turn, __ATOMIC_RELAXED) != 0;
}

/** @returns whether there is anything to tell when the loop polls. */
bool TurnHook::HasEvents() const {
  return ring_->HasCompletions() || __atomic_load_n(&wishes_->events, __ATOMIC_RELAXED) != 0 ||
         __atomic_load_n(&wishes_->deferred, __ATOMIC_RELAXED) == kDue;
}

/** @returns whether there will be when it polls next. */
bool TurnHook::HasDeferred() const {
  return __atomic_load_n(&wishes_->deferred, __ATOMIC_RELAXED) != 0;
}

bool TurnHook::HasWork() const {
  return ring_->Unsubmitted() != 0 || ring_->KernelHasMore() || HasEvents() || Wanted();
}

}  // namespace sheaf::loop
