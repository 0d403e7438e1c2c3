#include "kernel/probe.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "kernel/abi.h"
#include "kernel/system_calls.h"

namespace sheaf::kernel {

namespace {

/** `kernel.io_uring_disabled` (6.6): '0', '1' or '2', or 0 if the kernel has no such switch or hides it. */
char DisabledSwitch() {
  const int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char value = 0;
  const ssize_t length = read(fd, &value, 1);
  close(fd);
  return length == 1 ? value : static_cast<char>(0);
}

std::string ReasonFor(const char* call, int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      switch (DisabledSwitch()) {
        case '2':
          return "io_uring is switched off on this system: kernel.io_uring_disabled is 2; "
                 "`sysctl kernel.io_uring_disabled=0` switches it on.";
        case '1':
          if (error == EPERM) {
            return "io_uring is kept from this user: kernel.io_uring_disabled is 1; join the group in "
                   "kernel.io_uring_group, or run `sysctl kernel.io_uring_disabled=0`, "
                   "or allow it in the container's seccomp profile.";
          }
          break;
        default:
          break;
      }
      return std::string("The system call ") + call +
             " is forbidden to this process, as the default seccomp profiles of Docker and containerd do; run it "
             "with a profile that allows io_uring_setup, io_uring_enter and io_uring_register.";
    case ENOSYS:
      return std::string("This kernel has no ") + call +
             ": it is older than 5.1, was built without CONFIG_IO_URING, or a sandbox hides the call.";
    case ENOMEM:
      return std::string("The system call ") + call +
             " got no memory; before kernel 5.12, and again in recent ones, a ring counts against the limit of "
             "locked memory (`ulimit -l`).";
    case EMFILE:
      return "This process has no file descriptor left for a ring; raise its limit (`ulimit -n`).";
    case ENFILE:
      return "The system has no file descriptor left for a ring; raise fs.file-max.";
    default:
      return std::string("The system call ") + call + " failed: " + std::system_category().message(error) + ".";
  }
}

void Refuse(ProbeResult* result, const char* call, int error) {
  result->error = error;
  result->reason = ReasonFor(call, error);
}

}  // namespace

ProbeResult ProbeKernel() {
  ProbeResult result;
  utsname name{};
  if (uname(&name) == 0) result.release = name.release;

  abi::Params params{};
  const int fd = SetupRing(4, &params);
  if (fd < 0) {
    Refuse(&result, "io_uring_setup", -fd);
    return result;
  }
  result.features = params.features;

  // Some seccomp profiles allow the set-up only: a ring that can't be entered is none.
  const int entered = EnterRing(fd, 0, 0, 0);
  if (entered < 0) Refuse(&result, "io_uring_enter", -entered);

  if (result.error == 0) {
    auto probe = std::make_unique<abi::Probe>();
    const int answered = RegisterRing(fd, abi::kRegisterProbe, probe.get(), abi::kMaxOpcodes);
    if (answered < 0) {
      Refuse(&result, "io_uring_register", -answered);
    } else {
      result.opcodes.resize(size_t{probe->last_op} + 1);
      for (size_t index = 0; index < probe->ops_len && index < result.opcodes.size(); index++) {
        result.opcodes[index] = (probe->ops[index].flags & abi::kOpSupported) != 0 ? 1 : 0;
      }
    }
  }
  close(fd);
  return result;
}

}  // namespace sheaf::kernel
