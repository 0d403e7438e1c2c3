// Where a ring meets the event loop: the only user of <uv.h>.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "kernel/ring.h"
#include "loop/busy_poll.h"

struct uv_loop_s;

namespace sheaf::loop {

/** The name of an errno, as in `EBADR`; `error` is negative. */
const char* ErrorName(int error);

/** Who is called when there is something to do. */
class TurnTarget {
 public:
  virtual ~TurnTarget() = default;
  /** Drains the completion queue and stages submissions. @returns false when nothing can be called any more. */
  virtual bool CallTurn() = 0;
  /** The loop tells of the handles that have been closed. @returns false when nothing can be called any more. */
  virtual bool CallClosing() = 0;
  /** An enter failed, with `-errno`, in a way that trying again at once won't mend. */
  virtual void ReportEnterError(int error) = 0;
};

/** How often something was done. */
struct TurnCounts {
  uint64_t turns = 0;
  /** Times that the kernel woke the loop. */
  uint64_t wakeups = 0;
  /** Looks for work before the loop blocked, and those that found some. */
  uint64_t busy_polls = 0;
  uint64_t busy_polls_found = 0;
  std::chrono::nanoseconds busy_poll_time{0};
};

/** What JavaScript asks of the loop, by writing to memory that both see. */
struct Wishes {
  /** Not 0: it has submissions to stage. */
  uint32_t turn;
  /** Requests submitted since the last enter that wait for the one before them. */
  uint32_t linked;
  /** The other way round: the loop had nothing to do until the kernel posted something. JavaScript resets it. */
  uint32_t woken;
  /** Not 0: a request that sends something has been staged since the loop was about to block last. */
  uint32_t sent;
  /** Not 0: beside completions there is something to tell when the loop polls. */
  uint32_t events;
  /** The hook's: how often the loop has come to poll. */
  uint32_t iterations;
  /** The hook's: not 0 if the loop has come to poll with something else to do, and does not block. */
  uint32_t busy;
  /** Not 0: it has some when the loop comes to poll again. */
  uint32_t again;
  /** 1: there is something to tell when the loop polls next. The hook makes it 2 then; JavaScript sets it anew. */
  uint32_t deferred;
  /** The hook's: not 0 while the loop polls. */
  uint32_t polling;
};

/**
 * Takes a ring's turns: submits before the loop polls, and dispatches when it does. Lives on the heap until the
 * loop has let go of its handles, which is some time after `Close`; frees itself then.
 */
class TurnHook {
 public:
  struct Options {
    uint32_t max_rounds;
    std::chrono::microseconds busy_poll;
  };

  /** Who is told, beside the target. */
  struct Told {
    /**
     * Turns have been taken before the loop blocks. What they have called, and the ticks behind them, may have had
     * another ring do something, past whose hook the loop has been: it is to be reminded.
     */
    std::function<void()> turned;
    /** Last: the loop has let go, and the hook is about to be freed. */
    std::function<void()> closed;
  };

  /**
   * Joins `loop`, not keeping it alive yet.
   * @returns 0 and the hook in `hook`, or `-errno`, and then nobody is told anything.
   */
  static int Create(uv_loop_s* loop, std::shared_ptr<kernel::Ring> ring, Wishes* wishes, const Options& options,
                    TurnTarget* target, Told told, TurnHook** hook);

  TurnHook(const TurnHook&) = delete;
  TurnHook& operator=(const TurnHook&) = delete;

  /** Whether the loop stays alive for this ring. */
  void SetReferenced(bool referenced);

  /** Keeps the loop from blocking if there is something to do. */
  void Remind();

  /** Has the target called when the loop tells of the handles that have been closed in this iteration. */
  void AskClosing();

  /**
   * Leaves the loop; `target` is not called again. Before the ring is closed, and allowed from within `CallTurn`.
   */
  void Close();

  [[nodiscard]] TurnCounts counts() const {
    return {turns_, wakeups_, busy_poll_.looks(), busy_poll_.found(), busy_poll_.time()};
  }

 private:
  struct Handles;

  TurnHook(std::shared_ptr<kernel::Ring> ring, Wishes* wishes, const Options& options, TurnTarget* target, Told told);
  ~TurnHook();

  void BeforeBlocking();
  void OnWakeup();
  void OnClosing();
  bool Submit();
  bool FindWork();
  int Enter();
  void Run(bool forced);
  void Signal();
  void ForgetSignal();
  void TakeSignals();
  bool Settle();
  bool TakeTurn();
  void FinishChains();
  bool EnterFailed(int error);
  [[nodiscard]] bool Wanted() const;
  [[nodiscard]] bool HasEvents() const;
  [[nodiscard]] bool HasDeferred() const;
  [[nodiscard]] bool HasWork() const;
  [[nodiscard]] bool LoopIsBusy() const;
  void HandleClosed();

  std::shared_ptr<kernel::Ring> ring_;
  Wishes* const wishes_;
  const uint32_t max_rounds_;
  TurnTarget* const target_;
  Told told_;
  std::unique_ptr<Handles> handles_;
  int event_fd_ = -1;
  int open_handles_ = 0;
  /** The kernel shows deferred work in the queue's flags. */
  const bool taskrun_visible_;
  const bool suppresses_wakeups_;
  /** Nothing can be called any more, or the hook is closed. */
  bool stopped_ = false;
  bool error_reported_ = false;
  /** See `AskClosing`. */
  bool asked_closing_ = false;
  /** Turns before the loop polled have taken long: it polls for its other handles only. */
  bool yielded_ = false;
  /** The eventfd is readable because the hook wants to be called. */
  bool signalled_ = false;
  BusyPoll busy_poll_;
  uint64_t turns_ = 0;
  uint64_t wakeups_ = 0;
};

}  // namespace sheaf::loop
