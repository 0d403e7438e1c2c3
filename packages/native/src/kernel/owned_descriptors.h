// The descriptors that a thread has to close before it ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "memory/region.h"

namespace sheaf::kernel {

/**
 * A bit for each descriptor number. JavaScript sets and clears bits as well, and may be stopped for good between any
 * two of its calls: so a call that makes a descriptor sets its bit, and one that closes it clears it.
 */
class OwnedDescriptors {
 public:
  OwnedDescriptors();

  /** Null if there was no memory for them: then no descriptor is known. */
  [[nodiscard]] const std::shared_ptr<memory::Region>& bits() const { return bits_; }

  /** Harmless for what is no descriptor, and when repeated. */
  void Add(int fd);
  void Remove(int fd);
  /** Adds those in the control messages that a message came with. */
  void AddReceived(const std::byte* control, size_t size_bytes);
  /** Closes all, each once: its number may be another thread's right after. */
  void CloseAll();

 private:
  [[nodiscard]] uint8_t* ByteOf(int fd) const;

  std::shared_ptr<memory::Region> bits_;
};

}  // namespace sheaf::kernel
