#include "memory/region.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace sheaf::memory {

std::shared_ptr<Region> Region::Anonymous(size_t size_bytes, int* error) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t rounded = (size_bytes + page - 1) / page * page;
  return Map(rounded, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, error);
}

std::shared_ptr<Region> Region::OfRing(int ring_fd, size_t size_bytes, uint64_t offset, int* error) {
  return Map(size_bytes, MAP_SHARED | MAP_POPULATE, ring_fd, offset, error);
}

std::shared_ptr<Region> Region::Map(size_t size_bytes, int flags, int fd, uint64_t offset, int* error) {
  void* const address = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) {
    *error = errno;
    return nullptr;
  }
  if (madvise(address, size_bytes, MADV_DONTFORK) != 0) {
    *error = errno;
    munmap(address, size_bytes);
    return nullptr;
  }
  *error = 0;
  return std::shared_ptr<Region>(new Region(address, size_bytes));
}

Region::~Region() {
  Unmap();
}

void Region::Unmap() {
  if (address_ == nullptr) return;
  munmap(address_, size_bytes_);
  address_ = nullptr;
  size_bytes_ = 0;
}

}  // namespace sheaf::memory
