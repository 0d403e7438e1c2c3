#include "options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("reference-proxy: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

static uint32_t number(const char* name, const char* text, uint32_t least, uint32_t most) {
  char* end;
  unsigned long value = strtoul(text, &end, 10);
  if (!*text || *end || value < least || value > most)
    fail("--%s must be a whole number from %u to %u, not '%s'", name, least, most, text);
  return (uint32_t)value;
}

static struct sockaddr_in address(const char* name, const char* text, bool host_required) {
  struct sockaddr_in result = {.sin_family = AF_INET};
  const char* colon = strrchr(text, ':');
  char host[64] = "0.0.0.0";
  if (!colon && host_required) fail("--%s must be HOST:PORT, not '%s'", name, text);
  if (colon) snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
  if (inet_pton(AF_INET, host, &result.sin_addr) != 1) fail("--%s needs an IPv4 address, not '%s'", name, host);
  result.sin_port = htons((uint16_t)number(name, colon ? colon + 1 : text, host_required, 65535));
  return result;
}

static int choice(const char* name, const char* text, const char* const* names, int count) {
  for (int i = 0; i < count; i++)
    if (!strcmp(text, names[i])) return i;
  fail("--%s does not know '%s'", name, text);
  return 0;
}

struct options parse_options(int argc, char** argv) {
  static const struct option known[] = {
      {"listen", required_argument, NULL, 'l'}, {"to", required_argument, NULL, 't'},
      {"buffer", required_argument, NULL, 'b'}, {"buffers", required_argument, NULL, 'n'},
      {"bundle", required_argument, NULL, 'B'}, {"send", required_argument, NULL, 's'},
      {"recv", required_argument, NULL, 'r'},   {"bidirectional", no_argument, NULL, '2'},
      {"stats", no_argument, NULL, 'S'},        {NULL, 0, NULL, 0},
  };
  static const char* const bundles[] = {"off", "recv", "send", "both"};
  static const char* const receives[] = {"recvmsg"};
  static const char* const sends[] = {"sendmsg"};

  struct options options = {.buffer_bytes = 4096, .buffers = 128};
  int bundle = 3, option;
  bool sendmsg = false, recvmsg = false, has_listen = false, has_target = false;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (option) {
      case 'l':
        options.listen = address("listen", optarg, false), has_listen = true;
        break;
      case 't':
        options.target = address("to", optarg, true), has_target = true;
        break;
      case 'b':
        options.buffer_bytes = number("buffer", optarg, 1, 1 << 24);
        break;
      case 'n':
        options.buffers = number("buffers", optarg, 1, 32768);
        break;
      case 'B':
        bundle = choice("bundle", optarg, bundles, 4);
        break;
      case 's':
        choice("send", optarg, sends, 1), sendmsg = true;
        break;
      case 'r':
        choice("recv", optarg, receives, 1), recvmsg = true;
        break;
      case '2':
        options.bidirectional = true;
        break;
      case 'S':
        break;
      default:
        exit(2);
    }
  }
  if (!has_listen || !has_target) fail("--listen [HOST:]PORT and --to HOST:PORT are required");
  if (options.buffers & (options.buffers - 1)) fail("--buffers must be a power of two, not %u", options.buffers);
  options.receive = recvmsg ? RECEIVE_RECVMSG : bundle & 1 ? RECEIVE_BUNDLE : RECEIVE_SINGLE;
  options.send = sendmsg ? SEND_SENDMSG : bundle & 2 ? SEND_BUNDLE : SEND_SINGLE;
  return options;
}
