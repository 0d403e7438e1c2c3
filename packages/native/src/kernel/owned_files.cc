#include "kernel/owned_files.h"

#include <sys/stat.h>
#include <unistd.h>

namespace sheaf::kernel {

int OwnedFiles::Add(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return -1;
  files_[++last_] = {path, status.st_dev, status.st_ino};
  return last_;
}

void OwnedFiles::Remove(int file) {
  files_.erase(file);
}

void OwnedFiles::RemoveAll() {
  for (const auto& [number, file] : files_) {
    struct stat status {};
    if (lstat(file.path.c_str(), &status) != 0) continue;
    if (status.st_dev == file.device && status.st_ino == file.inode) unlink(file.path.c_str());
  }
  files_.clear();
}

}  // namespace sheaf::kernel
