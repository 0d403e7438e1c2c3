// Stands in for what the C++ library would ask of a C library newer than the oldest that Node.js runs on, glibc 2.28.

/** Of glibc 2.32: not 0 while a process has one thread only. One of Node.js has several. */
// NOLINTNEXTLINE(bugprone-reserved-identifier, cppcoreguidelines-avoid-non-const-global-variables)
extern "C" __attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
