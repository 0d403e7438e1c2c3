#include "kernel/owned_descriptors.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

namespace sheaf::kernel {

namespace {

/** Bits for as many as Linux usually lets a process have (`fs.nr_open`). Pages that are never used cost nothing. */
constexpr size_t kSizeBytes = (size_t{1} << 20) / CHAR_BIT;

/** `SCM_PIDFD`, which C libraries before 2.39 don't name. */
constexpr int kProcessDescriptor = 4;

constexpr uint8_t BitOf(int fd) {
  return static_cast<uint8_t>(1U << (static_cast<unsigned>(fd) % CHAR_BIT));
}

}  // namespace

OwnedDescriptors::OwnedDescriptors() {
  int error = 0;
  bits_ = memory::Region::Anonymous(kSizeBytes, &error);
}

uint8_t* OwnedDescriptors::ByteOf(int fd) const {
  const size_t index = static_cast<size_t>(fd) / CHAR_BIT;
  return bits_ == nullptr || fd < 0 || index >= kSizeBytes ? nullptr : bits_->data() + index;
}

void OwnedDescriptors::Add(int fd) {
  if (uint8_t* const byte = ByteOf(fd); byte != nullptr) *byte |= BitOf(fd);
}

void OwnedDescriptors::AddReceived(const std::byte* control, size_t size_bytes) {
  for (size_t left = size_bytes; left >= sizeof(cmsghdr);) {
    cmsghdr entry{};
    std::memcpy(&entry, control, sizeof(entry));
    if (entry.cmsg_len < sizeof(entry) || entry.cmsg_len > left) return;
    if (entry.cmsg_level == SOL_SOCKET && (entry.cmsg_type == SCM_RIGHTS || entry.cmsg_type == kProcessDescriptor)) {
      for (size_t at = CMSG_LEN(0); at + sizeof(int) <= entry.cmsg_len; at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, control + at, sizeof(fd));
        Add(fd);
      }
    }
    const size_t taken = std::min(left, CMSG_ALIGN(entry.cmsg_len));
    control += taken;
    left -= taken;
  }
}

void OwnedDescriptors::Remove(int fd) {
  if (uint8_t* const byte = ByteOf(fd); byte != nullptr) *byte &= static_cast<uint8_t>(~BitOf(fd));
}

void OwnedDescriptors::CloseAll() {
  if (bits_ == nullptr) return;
  auto* const words = reinterpret_cast<uint64_t*>(bits_->data());
  for (size_t index = 0; index < kSizeBytes / sizeof(uint64_t); index++) {
    for (uint64_t bits = std::exchange(words[index], 0); bits != 0; bits &= bits - 1) {
      close(static_cast<int>(index * 64) + __builtin_ctzll(bits));
    }
  }
}

}  // namespace sheaf::kernel
