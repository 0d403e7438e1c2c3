// The reference proxy's command line: the same flags as `npm run proxy`.
#ifndef SHEAF_REFERENCE_OPTIONS_H
#define SHEAF_REFERENCE_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum receive_method { RECEIVE_SINGLE, RECEIVE_BUNDLE, RECEIVE_RECVMSG };
enum send_method { SEND_SINGLE, SEND_BUNDLE, SEND_SENDMSG };

struct options {
  struct sockaddr_in listen, target;
  uint32_t buffer_bytes;
  uint32_t buffers;
  enum receive_method receive;
  enum send_method send;
  bool bidirectional;
};

// Exits with one line on stderr and status 2 if the command line is wrong.
struct options parse_options(int argc, char** argv);

#endif
