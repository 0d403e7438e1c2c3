/**
 * The part of the kernel's io_uring interface that TypeScript writes and reads in shared memory. Names are the
 * kernel's (`include/uapi/linux/io_uring.h`), in this language's manner. The C++ side of the same interface, with its
 * layout asserted, is `packages/native/src/kernel/abi.h`.
 */

export const enum Opcode {
  PollAdd = 6,
  SendMessage = 9,
  ReceiveMessage = 10,
  Accept = 13,
  AsyncCancel = 14,
  Connect = 16,
  Close = 19,
  Send = 26,
  Receive = 27,
}

/** `IOSQE_*`: flags of one submission entry. */
export const enum EntryFlag {
  Link = 1 << 2,
  /** A thread of the kernel's does it, and may wait. */
  Async = 1 << 4,
  BufferSelect = 1 << 5,
}

/** `IORING_RECV_MULTISHOT`, `IORING_RECVSEND_BUNDLE`, `IORING_ACCEPT_MULTISHOT`: in the `ioprio` field. */
export const enum Mode {
  ReceiveMultishot = 1 << 1,
  Bundle = 1 << 4,
  AcceptMultishot = 1 << 0,
}

/** `IORING_ASYNC_CANCEL_*`. */
export const enum CancelFlag {
  All = 1 << 0,
  ByDescriptor = 1 << 1,
}

/** `IORING_CQE_F_*`: flags of one completion. The buffer id is in the upper 16 bits. */
export const enum CompletionFlag {
  Buffer = 1 << 0,
  More = 1 << 1,
}
export const bufferIdShift = 16

export const enum EnterFlag {
  GetEvents = 1 << 0,
}

/** `IORING_SQ_*`: what the kernel says in the submission queue's flags word. */
export const enum SubmissionQueueFlag {
  CompletionOverflow = 1 << 1,
  /** Work waits that the kernel does when it is entered for events. */
  TaskRun = 1 << 2,
}

export const enum SetupFlag {
  CompletionSize = 1 << 3,
  SubmitAll = 1 << 7,
  TaskRunFlag = 1 << 9,
  SingleIssuer = 1 << 12,
  DeferTaskRun = 1 << 13,
  NoSubmissionArray = 1 << 16,
}

export const enum Feature {
  NoDrop = 1 << 1,
  /** Bundled send and receive (6.10). */
  Bundle = 1 << 14,
}

/** `MSG_*` of `send(2)` and `recv(2)`. */
export const enum MessageFlag {
  /** `MSG_PEEK`: what is received stays. */
  Peek = 0x2,
  /** `MSG_CTRUNC`, `MSG_TRUNC`: the control messages, or the payload, did not fit. */
  ControlTruncated = 0x8,
  Truncated = 0x20,
  /** `MSG_DONTWAIT`: `EAGAIN` instead of waiting. */
  DontWait = 0x40,
  WaitAll = 0x100,
  NoSignal = 0x4000,
  More = 0x8000,
  /** `MSG_CMSG_CLOEXEC`, for received descriptors. */
  ControlCloseOnExec = 0x40000000,
}

/** `SOCK_CLOEXEC`, for accepted sockets. */
export const closeOnExec = 0o2000000

/** `POLL*` of `poll(2)`. */
export const enum PollEvent {
  Readable = 0x1,
  Writable = 0x4,
  Error = 0x8,
  HangUp = 0x10,
}

export const shutdownWrite = 1

/** Sizes in bytes of what is laid out by hand. */
export const submissionEntryBytes = 64
export const bufferEntryBytes = 16
/** `struct msghdr` and `struct iovec` on 64-bit Linux. */
export const messageHeaderBytes = 56
export const vectorBytes = 16
/** `struct io_uring_recvmsg_out`, which multishot `RECVMSG` puts before the payload in every buffer. */
export const receivedMessageHeaderBytes = 16

/** Word offsets in `struct msghdr` on 64-bit Linux. */
export const enum MessageHeaderWord {
  Name = 0,
  NameBytes = 2,
  Vector = 4,
  VectorCount = 6,
  Control = 8,
  ControlBytes = 10,
}

/** `struct mmsghdr`: a `struct msghdr`, and the bytes that were sent of it. */
export const multipleMessageHeaderBytes = 64

/** Word offsets in `struct io_uring_recvmsg_out`. */
export const enum ReceivedMessageWord {
  NameBytes = 0,
  ControlBytes = 1,
  PayloadBytes = 2,
  Flags = 3,
}

/** Bytes of `struct cmsghdr`; what follows is aligned to 8. */
export const controlHeaderBytes = 16

export const enum Errno {
  EPERM = 1,
  ENOENT = 2,
  EINTR = 4,
  EIO = 5,
  EBADF = 9,
  EAGAIN = 11,
  ENOMEM = 12,
  EACCES = 13,
  EFAULT = 14,
  EBUSY = 16,
  EEXIST = 17,
  ENODEV = 19,
  EINVAL = 22,
  ENFILE = 23,
  EMFILE = 24,
  EPIPE = 32,
  EPROTO = 71,
  ENOTSOCK = 88,
  EDESTADDRREQ = 89,
  EMSGSIZE = 90,
  ENOPROTOOPT = 92,
  EOPNOTSUPP = 95,
  EADDRINUSE = 98,
  ENETDOWN = 100,
  ENETUNREACH = 101,
  ECONNABORTED = 103,
  ECONNRESET = 104,
  ENOBUFS = 105,
  EISCONN = 106,
  ENOTCONN = 107,
  ETOOMANYREFS = 109,
  ETIMEDOUT = 110,
  ECONNREFUSED = 111,
  EHOSTDOWN = 112,
  EHOSTUNREACH = 113,
  EALREADY = 114,
  ECANCELED = 125,
}

/**
 * Whether a request has ended for no reason of its socket's: it was cancelled, interrupted, or the kernel has given up
 * after too many tries (`APOLL_MAX_RETRY`, or on a non-blocking socket). It may be made again.
 */
export function isInterruption(result: number): boolean {
  return result === -Errno.EAGAIN || result === -Errno.EINTR || result === -Errno.ECANCELED
}
