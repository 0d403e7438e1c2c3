#include "kernel/ring_setup.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "kernel/system_calls.h"

namespace sheaf::kernel {

namespace {

// Oldest first, and what a flag depends on before it (DEFER_TASKRUN wants SINGLE_ISSUER, TASKRUN_FLAG wants
// DEFER_TASKRUN or COOP_TASKRUN): whatever the kernel refuses, the ones before it have been decided already.
constexpr std::array kFlagsInOrder = {
    abi::kSetupCqSize,       abi::kSetupClamp,       abi::kSetupDisabled,
    abi::kSetupSubmitAll,    abi::kSetupCoopTaskrun, abi::kSetupSingleIssuer,
    abi::kSetupDeferTaskrun, abi::kSetupTaskrunFlag, abi::kSetupNoSqArray,
};

int TrySetup(const RingOptions& options, uint32_t flags, abi::Params* params) {
  *params = {};
  params->flags = flags;
  params->cq_entries = (flags & abi::kSetupCqSize) != 0 ? options.completion_entries : 0;
  return SetupRing(options.submission_entries, params);
}

/**
 * Sets up a ring with as many of `wanted` flags as the kernel takes. All of them at once is the usual case. If that
 * is refused they are tried one by one, each on top of those accepted so far, so that one unknown flag costs no other.
 */
int SetupWithFlags(const RingOptions& options, uint32_t wanted, abi::Params* params) {
  int fd = TrySetup(options, wanted, params);
  if (fd != -EINVAL) return fd;
  uint32_t accepted = 0;
  for (const uint32_t flag : kFlagsInOrder) {
    if ((wanted & flag) == 0) continue;
    fd = TrySetup(options, accepted | flag, params);
    if (fd >= 0) {
      accepted |= flag;
      close(fd);
    } else if (fd != -EINVAL) {
      return fd;
    }
  }
  return TrySetup(options, accepted, params);
}

/** What a ring itself asks of `io_uring_register`, and so all that is left to a restricted one. */
constexpr std::array kRegisterOps = {
    abi::kRegisterEventfd,      abi::kUnregisterEventfd,  abi::kRegisterProbe,        abi::kRegisterBufferRing,
    abi::kUnregisterBufferRing, abi::kRegisterSyncCancel, abi::kRegisterBufferStatus, abi::kRegisterEnableRings,
};

/** Leaves a disabled ring what it may do, and enables it. @returns 0 or `-errno`. */
int RestrictAndEnable(int fd, const Restrictions& restrictions) {
  std::vector<abi::Restriction> allowed;
  const auto allow = [&allowed](uint16_t kind, uint32_t what) {
    allowed.push_back({.opcode = kind, .allowed = static_cast<uint8_t>(what), .resv = 0, .resv2 = {}});
  };
  for (const uint32_t operation : kRegisterOps) allow(abi::kRestrictionRegisterOp, operation);
  for (const uint8_t opcode : restrictions.opcodes) allow(abi::kRestrictionSubmissionOp, opcode);
  allow(abi::kRestrictionSubmissionFlags, restrictions.entry_flags);
  const auto count = static_cast<uint32_t>(allowed.size());
  const int restricted = RegisterRing(fd, abi::kRegisterRestrictions, allowed.data(), count);
  return restricted < 0 ? restricted : RegisterRing(fd, abi::kRegisterEnableRings, nullptr, 0);
}

}  // namespace

int SetupWithOptions(const RingOptions& options, abi::Params* params, int* restrictions_error) {
  const uint32_t wanted = options.optional_flags | abi::kSetupCqSize;
  if (options.restrictions.has_value()) {
    const int fd = SetupWithFlags(options, wanted | abi::kSetupDisabled, params);
    if (fd < 0) return fd;
    const bool disabled = (params->flags & abi::kSetupDisabled) != 0;
    *restrictions_error = disabled ? RestrictAndEnable(fd, *options.restrictions) : -EINVAL;
    if (*restrictions_error == 0) params->flags &= ~abi::kSetupDisabled;
    if (*restrictions_error == 0 || !disabled) return fd;
    close(fd);
  }
  return SetupWithFlags(options, wanted, params);
}

}  // namespace sheaf::kernel
