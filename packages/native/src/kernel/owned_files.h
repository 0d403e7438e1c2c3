// The socket files that a thread has to remove before it ends.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace sheaf::kernel {

class OwnedFiles {
 public:
  /** @return what stands for the file, or -1 with `errno` set. */
  int Add(const std::string& path);
  /** Harmless for what stands for none. */
  void Remove(int file);
  /** Removes the files that are there still, and no other that is in the place of one. */
  void RemoveAll();

 private:
  struct File {
    std::string path;
    uint32_t device_major;
    uint32_t device_minor;
    uint64_t inode;
  };

  std::map<int, File> files_;
  int last_ = 0;
};

}  // namespace sheaf::kernel
