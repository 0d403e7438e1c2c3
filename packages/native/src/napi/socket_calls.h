// Socket calls that io_uring has no opcode for, or none worth using.
#pragma once

#include <napi.h>

namespace sheaf::napi {

/** The `sockets` object. */
Napi::Object SocketCalls(Napi::Env env);

}  // namespace sheaf::napi
