#include "napi/socket_calls.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "napi/addon.h"
#include "napi/arguments.h"

namespace sheaf::napi {

namespace {

Napi::Value Result(const Napi::CallbackInfo& info, int result) {
  return Napi::Number::New(info.Env(), result < 0 ? -errno : result);
}

/** A descriptor that a call has made belongs to the thread before JavaScript, which may be stopped, knows of it. */
Napi::Value Made(const Napi::CallbackInfo& info, int fd) {
  Addon::Of(info.Env())->descriptors()->Add(fd);
  return Result(info, fd);
}

bool ReadFd(const Napi::CallbackInfo& info, int* fd) {
  return Read(info[0], "fd", 0, kMaxInt32, fd);
}

Napi::Value Socket(const Napi::CallbackInfo& info) {
  int domain = 0;
  int type = 0;
  int protocol = 0;
  if (!Read(info[0], "domain", 0, kMaxInt32, &domain) || !Read(info[1], "type", 0, kMaxInt32, &type) ||
      !Read(info[2], "protocol", 0, kMaxInt32, &protocol)) {
    return {};
  }
  return Made(info, socket(domain, type | SOCK_CLOEXEC, protocol));
}

Napi::Value Socketpair(const Napi::CallbackInfo& info) {
  int domain = 0;
  int type = 0;
  if (!Read(info[0], "domain", 0, kMaxInt32, &domain) || !Read(info[1], "type", 0, kMaxInt32, &type)) return {};
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    ThrowType(info.Env(), "into", "an instance of Int32Array");
    return {};
  }
  auto into = info[2].As<Napi::Int32Array>();
  if (into.ElementLength() < 2) {
    ThrowRange(info.Env(), "into", "at least 2 elements long");
    return {};
  }
  const int result = socketpair(domain, type | SOCK_CLOEXEC, 0, into.Data());
  if (result == 0) {
    for (size_t index = 0; index < 2; index++) Addon::Of(info.Env())->descriptors()->Add(into[index]);
  }
  return Result(info, result);
}

using AddressCall = int (*)(int, const sockaddr*, socklen_t);

template <AddressCall call>
Napi::Value WithAddress(const Napi::CallbackInfo& info) {
  int fd = 0;
  Bytes address;
  if (!ReadFd(info, &fd) || !ReadBytes(info[1], "address", &address)) return {};
  return Result(info, call(fd, reinterpret_cast<const sockaddr*>(address.data), address.size));
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

template <NameCall call>
Napi::Value GetName(const Napi::CallbackInfo& info) {
  int fd = 0;
  Bytes into;
  if (!ReadFd(info, &fd) || !ReadBytes(info[1], "into", &into)) return {};
  socklen_t length = into.size;
  const int result = call(fd, reinterpret_cast<sockaddr*>(into.data), &length);
  return Result(info, result < 0 ? result : static_cast<int>(length));
}

// Not used directly as template arguments: the C library may declare them with attributes of its own.
int Bind(int fd, const sockaddr* address, socklen_t length) {
  return bind(fd, address, length);
}

int Connect(int fd, const sockaddr* address, socklen_t length) {
  return connect(fd, address, length);
}

int LocalName(int fd, sockaddr* address, socklen_t* length) {
  return getsockname(fd, address, length);
}

int PeerName(int fd, sockaddr* address, socklen_t* length) {
  return getpeername(fd, address, length);
}

Napi::Value Listen(const Napi::CallbackInfo& info) {
  int fd = 0;
  int backlog = 0;
  if (!ReadFd(info, &fd) || !Read(info[1], "backlog", 0, kMaxInt32, &backlog)) return {};
  return Result(info, listen(fd, backlog));
}

bool ReadOption(const Napi::CallbackInfo& info, int* fd, int* level, int* name) {
  return ReadFd(info, fd) && Read(info[1], "level", 0, kMaxInt32, level) && Read(info[2], "name", 0, kMaxInt32, name);
}

Napi::Value SetOption(const Napi::CallbackInfo& info) {
  int fd = 0;
  int level = 0;
  int name = 0;
  Bytes value;
  if (!ReadOption(info, &fd, &level, &name) || !ReadBytes(info[3], "value", &value)) return {};
  return Result(info, setsockopt(fd, level, name, value.data, value.size));
}

Napi::Value GetOption(const Napi::CallbackInfo& info) {
  int fd = 0;
  int level = 0;
  int name = 0;
  Bytes into;
  if (!ReadOption(info, &fd, &level, &name) || !ReadBytes(info[3], "into", &into)) return {};
  socklen_t length = into.size;
  const int result = getsockopt(fd, level, name, into.data, &length);
  return Result(info, result < 0 ? result : static_cast<int>(length));
}

Napi::Value Shutdown(const Napi::CallbackInfo& info) {
  int fd = 0;
  int how = 0;
  if (!ReadFd(info, &fd) || !Read(info[1], "how", SHUT_RD, SHUT_RDWR, &how)) return {};
  return Result(info, shutdown(fd, how));
}

Napi::Value Duplicate(const Napi::CallbackInfo& info) {
  int fd = 0;
  if (!ReadFd(info, &fd)) return {};
  return Made(info, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

Napi::Value WatchRoom(const Napi::CallbackInfo& info) {
  int fd = 0;
  if (!ReadFd(info, &fd)) return {};
  const int watch = epoll_create1(EPOLL_CLOEXEC);
  if (watch < 0) return Result(info, watch);
  epoll_event event{};
  event.events = EPOLLOUT;
  if (epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event) == 0) return Made(info, watch);
  const int error = errno;
  close(watch);
  errno = error;
  return Result(info, -1);
}

Napi::Value Close(const Napi::CallbackInfo& info) {
  int fd = 0;
  if (!ReadFd(info, &fd)) return {};
  // First, as the number may be another thread's right after.
  Addon::Of(info.Env())->descriptors()->Remove(fd);
  return Result(info, close(fd));
}

Napi::Value SendMessages(const Napi::CallbackInfo& info) {
  int fd = 0;
  Bytes headers;
  unsigned count = 0;
  int flags = 0;
  if (!ReadFd(info, &fd) || !ReadBytes(info[1], "headers", &headers) ||
      !Read(info[2], "count", 0, static_cast<int64_t>(headers.size / sizeof(mmsghdr)), &count) ||
      !Read(info[3], "flags", 0, kMaxInt32, &flags)) {
    return {};
  }
  return Result(info, sendmmsg(fd, reinterpret_cast<mmsghdr*>(headers.data), count, flags));
}

Napi::Value Send(const Napi::CallbackInfo& info) {
  int fd = 0;
  Bytes first;
  Bytes second;
  Bytes third;
  int flags = 0;
  if (!ReadFd(info, &fd) || !ReadBytes(info[1], "first", &first) || !ReadBytes(info[2], "second", &second) ||
      !ReadBytes(info[3], "third", &third) || !Read(info[4], "flags", 0, kMaxInt32, &flags)) {
    return {};
  }
  std::array<iovec, 3> pieces{{{first.data, first.size}, {second.data, second.size}, {third.data, third.size}}};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  // At most `MAX_RW_COUNT`, which is less than 2 GB.
  return Result(info, static_cast<int>(sendmsg(fd, &message, flags)));
}

Napi::Value Receive(const Napi::CallbackInfo& info) {
  int fd = 0;
  Bytes into;
  int flags = 0;
  if (!ReadFd(info, &fd) || !ReadBytes(info[1], "into", &into) || !Read(info[2], "flags", 0, kMaxInt32, &flags)) {
    return {};
  }
  return Result(info, static_cast<int>(recv(fd, into.data, into.size, flags)));
}

Napi::Value InterfaceIndex(const Napi::CallbackInfo& info) {
  std::string name;
  if (!ReadString(info[0], "name", &name)) return {};
  const unsigned index = if_nametoindex(name.c_str());
  return Result(info, index == 0 ? -1 : static_cast<int>(index));
}

Napi::Value OwnFile(const Napi::CallbackInfo& info) {
  std::string path;
  if (!ReadString(info[0], "path", &path)) return {};
  return Result(info, Addon::Of(info.Env())->files()->Add(path));
}

void DisownFile(const Napi::CallbackInfo& info) {
  int file = 0;
  if (Read(info[0], "file", 0, kMaxInt32, &file)) Addon::Of(info.Env())->files()->Remove(file);
}

}  // namespace

Napi::Object SocketCalls(Napi::Env env) {
  Napi::Object calls = Napi::Object::New(env);
  const auto add = [&](const char* name, Napi::Function function) { calls.Set(name, function); };
  add("socket", Napi::Function::New<Socket>(env, "socket"));
  add("socketpair", Napi::Function::New<Socketpair>(env, "socketpair"));
  add("bind", Napi::Function::New<WithAddress<Bind>>(env, "bind"));
  add("connect", Napi::Function::New<WithAddress<Connect>>(env, "connect"));
  add("listen", Napi::Function::New<Listen>(env, "listen"));
  add("getsockname", Napi::Function::New<GetName<LocalName>>(env, "getsockname"));
  add("getpeername", Napi::Function::New<GetName<PeerName>>(env, "getpeername"));
  add("setsockopt", Napi::Function::New<SetOption>(env, "setsockopt"));
  add("getsockopt", Napi::Function::New<GetOption>(env, "getsockopt"));
  add("shutdown", Napi::Function::New<Shutdown>(env, "shutdown"));
  add("dup", Napi::Function::New<Duplicate>(env, "dup"));
  add("watchRoom", Napi::Function::New<WatchRoom>(env, "watchRoom"));
  add("close", Napi::Function::New<Close>(env, "close"));
  add("send", Napi::Function::New<Send>(env, "send"));
  add("sendmmsg", Napi::Function::New<SendMessages>(env, "sendmmsg"));
  add("receive", Napi::Function::New<Receive>(env, "receive"));
  add("interfaceIndex", Napi::Function::New<InterfaceIndex>(env, "interfaceIndex"));
  add("ownFile", Napi::Function::New<OwnFile>(env, "ownFile"));
  add("disownFile", Napi::Function::New<DisownFile>(env, "disownFile"));
  return calls;
}

}  // namespace sheaf::napi
