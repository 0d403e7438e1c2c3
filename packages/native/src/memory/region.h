// Mapped memory that both JavaScript and the kernel may be looking at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sheaf::memory {

/**
 * A mapping, held by everything that may still touch it: its ArrayBuffer, and the rings through which the kernel may.
 * It is unmapped with the last holder. All holders of one region live on one thread.
 *
 * A forked child does not get the mapping: two processes writing to what the kernel takes for one would corrupt both,
 * and copy-on-write would move pages away from under requests in flight.
 */
class Region {
 public:
  /** Zeroed memory, `size_bytes` rounded up to whole pages. @returns null, with `error` an errno, if there is none. */
  static std::shared_ptr<Region> Anonymous(size_t size_bytes, int* error);

  /** Part of a ring, at one of the kernel's fixed offsets. @returns null, with `error` an errno, on failure. */
  static std::shared_ptr<Region> OfRing(int ring_fd, size_t size_bytes, uint64_t offset, int* error);

  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  [[nodiscard]] uint8_t* data() const { return static_cast<uint8_t*>(address_); }
  [[nodiscard]] size_t size_bytes() const { return size_bytes_; }

  /** Gives the memory back now. Only for whoever knows that no other holder can reach it any more. */
  void Unmap();

 private:
  Region(void* address, size_t size_bytes) : address_(address), size_bytes_(size_bytes) {}
  static std::shared_ptr<Region> Map(size_t size_bytes, int flags, int fd, uint64_t offset, int* error);

  void* address_;
  size_t size_bytes_;
};

}  // namespace sheaf::memory
