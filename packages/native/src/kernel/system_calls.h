// The three system calls of io_uring, raw: what the kernel answers, with `-errno` in place of -1.
#pragma once

#include <cstdint>

#include "kernel/abi.h"

namespace sheaf::kernel {

/** @returns a close-on-exec descriptor, or `-errno`; fills in `params`. */
int SetupRing(uint32_t entries, abi::Params* params);

/** @returns the number of submissions taken, or `-errno`. Does not retry `-EINTR`. */
int EnterRing(int ring_fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags);

/** @returns zero or more on success, or `-errno`. */
int RegisterRing(int ring_fd, uint32_t opcode, void* argument, uint32_t count);

}  // namespace sheaf::kernel
