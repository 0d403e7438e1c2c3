// What this kernel's io_uring can do, or why this process can't have one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sheaf::kernel {

struct ProbeResult {
  /** An errno; 0 when a ring can be set up, entered and registered on. */
  int error = 0;
  /** One sentence a person can act on; empty when `error` is 0. */
  std::string reason;
  /** As `uname -r` prints it. */
  std::string release;
  uint32_t features = 0;
  /** One byte for each opcode the kernel knows: 1 where it is supported. */
  std::vector<uint8_t> opcodes;
};

/** Sets up a small ring, asks, and closes it. */
ProbeResult ProbeKernel();

}  // namespace sheaf::kernel
