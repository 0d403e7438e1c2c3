#include "kernel/system_calls.h"

#include <unistd.h>

#include <cerrno>

namespace sheaf::kernel {

namespace {

int ResultOf(int64_t result) {
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace

int SetupRing(uint32_t entries, abi::Params* params) {
  return ResultOf(syscall(abi::kSysSetup, entries, params));
}

int EnterRing(int ring_fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags) {
  return ResultOf(syscall(abi::kSysEnter, ring_fd, to_submit, min_complete, flags, nullptr, 0));
}

int RegisterRing(int ring_fd, uint32_t opcode, void* argument, uint32_t count) {
  return ResultOf(syscall(abi::kSysRegister, ring_fd, opcode, argument, count));
}

}  // namespace sheaf::kernel
