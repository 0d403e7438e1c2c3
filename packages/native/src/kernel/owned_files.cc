#include "kernel/owned_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sheaf::kernel {

namespace {

/** `lstat` itself wants glibc 2.33. @return 0, or -1 with `errno` set. */
int Status(const std::string& path, struct statx* status) {
  return statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_INO, status);
}

}  // namespace

int OwnedFiles::Add(const std::string& path) {
  struct statx status {};
  if (Status(path, &status) != 0) return -1;
  files_[++last_] = {path, status.stx_dev_major, status.stx_dev_minor, status.stx_ino};
  return last_;
}

void OwnedFiles::Remove(int file) {
  files_.erase(file);
}

void OwnedFiles::RemoveAll() {
  for (const auto& [number, file] : files_) {
    struct statx status {};
    if (Status(file.path, &status) != 0) continue;
    const bool is_same = status.stx_dev_major == file.device_major && status.stx_dev_minor == file.device_minor &&
                         status.stx_ino == file.inode;
    if (is_same) unlink(file.path.c_str());
  }
  files_.clear();
}

}  // namespace sheaf::kernel
