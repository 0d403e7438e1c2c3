#include "kernel/exit_handler.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "kernel/ring.h"

namespace sheaf::kernel {

namespace {

/** How long the process may wait for a ring's requests to end. */
constexpr int64_t kTimeoutMs = 100;

/** The rings of all threads that are open. */
struct OpenRings {
  std::mutex mutex;
  std::map<Ring*, std::thread::id> threads;
};

void CancelWhatHoldsPorts();

OpenRings& Open() {
  // Never destroyed: it is used when the process ends.
  static OpenRings* const open = [] {
    std::atexit(CancelWhatHoldsPorts);
    return new OpenRings;
  }();
  return *open;
}

/**
 * Here only rings of the main thread are left, which no environment has closed: those of workers end with them. Of a
 * ring nobody but its thread may ask the kernel for anything.
 */
void CancelWhatHoldsPorts() {
  OpenRings& open = Open();
  const std::lock_guard lock(open.mutex);
  for (const auto& [ring, thread] : open.threads) {
    if (thread != std::this_thread::get_id()) continue;
    // What accepts, and what receives datagrams. What receives from connections may be many, of which each takes the
    // kernel a look at all.
    ring->CancelOperations({abi::kAccept, abi::kReceiveMessage}, kTimeoutMs);
  }
}

}  // namespace

void CancelAtExit(Ring* ring) {
  const std::lock_guard lock(Open().mutex);
  Open().threads.emplace(ring, std::this_thread::get_id());
}

void ForgetAtExit(Ring* ring) {
  const std::lock_guard lock(Open().mutex);
  Open().threads.erase(ring);
}

}  // namespace sheaf::kernel
