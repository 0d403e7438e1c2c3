// The set-up of a ring, with as much of what is asked for as the kernel allows.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernel/abi.h"

namespace sheaf::kernel {

/** All that may be submitted to a ring. */
struct Restrictions {
  std::vector<uint8_t> opcodes;
  /** `IOSQE_*` bits. */
  uint8_t entry_flags = 0;
};

struct RingOptions {
  uint32_t submission_entries;
  uint32_t completion_entries;
  /** Setup flags to have where the kernel allows. */
  uint32_t optional_flags;
  /** To be in force where the kernel allows. */
  std::optional<Restrictions> restrictions;
};

/** The setup flags that may be asked for: those that change neither the layout of the queues nor who fills them. */
inline constexpr uint32_t kAllowedSetupFlags = abi::kSetupCqSize | abi::kSetupClamp | abi::kSetupSubmitAll |
                                               abi::kSetupCoopTaskrun | abi::kSetupTaskrunFlag |
                                               abi::kSetupSingleIssuer | abi::kSetupDeferTaskrun | abi::kSetupNoSqArray;

/**
 * Sets up a ring with as many of the flags as the kernel takes, and with the restrictions in force; without them if the
 * kernel, or a seccomp filter, refuses any step of that: `restrictions_error` says with what, else it stays.
 * @returns the ring's descriptor, or `-errno`.
 */
int SetupWithOptions(const RingOptions& options, abi::Params* params, int* restrictions_error);

}  // namespace sheaf::kernel
