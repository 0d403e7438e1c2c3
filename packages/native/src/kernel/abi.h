// The io_uring interface of the Linux kernel, declared by hand.
//
// A distribution's headers are often years older than the kernel it runs, and many build machines have none of
// io_uring at all; so this file includes nothing of the kernel's and pins every layout by static_assert instead.
// Names are the kernel's with the prefix made a namespace, so that they can be found in the manual pages
// (io_uring_setup(2), io_uring_enter(2), io_uring_register(2)). A number in a comment is the first kernel that has it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sheaf::abi {

// System call numbers: the same on every architecture that got them after the tables were unified, but for Alpha and
// the MIPS ABIs, which Node.js does not run on.
inline constexpr long kSysSetup = 425;
inline constexpr long kSysEnter = 426;
inline constexpr long kSysRegister = 427;

// io_uring_setup flags.
inline constexpr uint32_t kSetupCqSize = 1U << 3;         // 5.5
inline constexpr uint32_t kSetupClamp = 1U << 4;          // 5.6
inline constexpr uint32_t kSetupDisabled = 1U << 6;       // 5.10
inline constexpr uint32_t kSetupSubmitAll = 1U << 7;      // 5.18
inline constexpr uint32_t kSetupCoopTaskrun = 1U << 8;    // 5.19
inline constexpr uint32_t kSetupTaskrunFlag = 1U << 9;    // 5.19
inline constexpr uint32_t kSetupSingleIssuer = 1U << 12;  // 6.0
inline constexpr uint32_t kSetupDeferTaskrun = 1U << 13;  // 6.1
inline constexpr uint32_t kSetupNoSqArray = 1U << 16;     // 6.6

// Params::features.
inline constexpr uint32_t kFeatureSingleMmap = 1U << 0;  // 5.4
inline constexpr uint32_t kFeatureNoDrop = 1U << 1;      // 5.5

// io_uring_enter flags.
inline constexpr uint32_t kEnterGetEvents = 1U << 0;

// SqOffsets::flags word: written by the kernel.
inline constexpr uint32_t kSqCqOverflow = 1U << 1;  // 5.8
inline constexpr uint32_t kSqTaskrun = 1U << 2;     // 5.19

// CqOffsets::flags word: written by the application.
inline constexpr uint32_t kCqEventfdDisabled = 1U << 0;  // 5.8

// io_uring_register opcodes.
inline constexpr uint32_t kRegisterEventfd = 4;
inline constexpr uint32_t kUnregisterEventfd = 5;
inline constexpr uint32_t kRegisterProbe = 8;          // 5.6
inline constexpr uint32_t kRegisterRestrictions = 11;  // 5.10
inline constexpr uint32_t kRegisterEnableRings = 12;   // 5.10
inline constexpr uint32_t kRegisterBufferRing = 22;    // 5.19
inline constexpr uint32_t kUnregisterBufferRing = 23;  // 5.19
inline constexpr uint32_t kRegisterSyncCancel = 24;    // 6.0
inline constexpr uint32_t kRegisterBufferStatus = 26;  // 6.8

// SyncCancel::flags.
inline constexpr uint32_t kAsyncCancelAll = 1U << 0;  // 5.19
inline constexpr uint32_t kAsyncCancelAny = 1U << 2;  // 5.19
inline constexpr uint32_t kAsyncCancelOp = 1U << 5;   // 6.6

// Offsets for mmap(2) on a ring's descriptor.
inline constexpr uint64_t kMmapRings = 0;
inline constexpr uint64_t kMmapSubmissions = 0x10000000;

// Opcodes.
inline constexpr uint8_t kReceiveMessage = 10;
inline constexpr uint8_t kAccept = 13;

// ProbeOp::flags.
inline constexpr uint16_t kOpSupported = 1U << 0;

// A submission queue entry. C++ never fills one: TypeScript writes them at these offsets.
struct Submission {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t off;  // also addr2
  uint64_t addr;
  uint32_t len;
  uint32_t op_flags;
  uint64_t user_data;
  uint16_t buf_group;  // also buf_index
  uint16_t personality;
  uint32_t file_index;  // also splice_fd_in, addr_len
  uint64_t addr3;
  uint64_t pad;
};
static_assert(sizeof(Submission) == 64);
static_assert(offsetof(Submission, ioprio) == 2);
static_assert(offsetof(Submission, fd) == 4);
static_assert(offsetof(Submission, off) == 8);
static_assert(offsetof(Submission, addr) == 16);
static_assert(offsetof(Submission, len) == 24);
static_assert(offsetof(Submission, op_flags) == 28);
static_assert(offsetof(Submission, user_data) == 32);
static_assert(offsetof(Submission, buf_group) == 40);
static_assert(offsetof(Submission, personality) == 42);
static_assert(offsetof(Submission, file_index) == 44);
static_assert(offsetof(Submission, addr3) == 48);

// A completion queue entry, likewise read by TypeScript only.
struct Completion {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};
static_assert(sizeof(Completion) == 16);
static_assert(offsetof(Completion, res) == 8);

/** `IORING_CQE_F_BUFFER`, `IORING_CQE_BUFFER_SHIFT`. */
inline constexpr uint32_t kCqeBuffer = 1U << 0;
inline constexpr uint32_t kCqeBufferShift = 16;

/** `struct io_uring_recvmsg_out`: what a buffer of a multishot `RECVMSG` begins with. */
struct ReceivedMessage {
  uint32_t namelen;
  uint32_t controllen;
  uint32_t payloadlen;
  uint32_t flags;
};
static_assert(sizeof(ReceivedMessage) == 16);
static_assert(offsetof(Completion, flags) == 12);

struct SqOffsets {
  uint32_t head;
  uint32_t tail;
  uint32_t ring_mask;
  uint32_t ring_entries;
  uint32_t flags;
  uint32_t dropped;
  uint32_t array;
  uint32_t resv1;
  uint64_t user_addr;
};
static_assert(sizeof(SqOffsets) == 40);
static_assert(offsetof(SqOffsets, tail) == 4);
static_assert(offsetof(SqOffsets, ring_mask) == 8);
static_assert(offsetof(SqOffsets, ring_entries) == 12);
static_assert(offsetof(SqOffsets, flags) == 16);
static_assert(offsetof(SqOffsets, dropped) == 20);
static_assert(offsetof(SqOffsets, array) == 24);
static_assert(offsetof(SqOffsets, user_addr) == 32);

struct CqOffsets {
  uint32_t head;
  uint32_t tail;
  uint32_t ring_mask;
  uint32_t ring_entries;
  uint32_t overflow;
  uint32_t cqes;
  uint32_t flags;
  uint32_t resv1;
  uint64_t user_addr;
};
static_assert(sizeof(CqOffsets) == 40);
static_assert(offsetof(CqOffsets, tail) == 4);
static_assert(offsetof(CqOffsets, ring_mask) == 8);
static_assert(offsetof(CqOffsets, ring_entries) == 12);
static_assert(offsetof(CqOffsets, overflow) == 16);
static_assert(offsetof(CqOffsets, cqes) == 20);
static_assert(offsetof(CqOffsets, flags) == 24);
static_assert(offsetof(CqOffsets, user_addr) == 32);

struct Params {
  uint32_t sq_entries;
  uint32_t cq_entries;
  uint32_t flags;
  uint32_t sq_thread_cpu;
  uint32_t sq_thread_idle;
  uint32_t features;
  uint32_t wq_fd;
  uint32_t resv[3];
  SqOffsets sq_off;
  CqOffsets cq_off;
};
static_assert(sizeof(Params) == 120);
static_assert(offsetof(Params, cq_entries) == 4);
static_assert(offsetof(Params, flags) == 8);
static_assert(offsetof(Params, features) == 20);
static_assert(offsetof(Params, wq_fd) == 24);
static_assert(offsetof(Params, sq_off) == 40);
static_assert(offsetof(Params, cq_off) == 80);

// One provided buffer, and the ring of them: `tail` lies in the unused end of the first entry.
struct Buffer {
  uint64_t addr;
  uint32_t len;
  uint16_t bid;
  uint16_t resv;
};
static_assert(sizeof(Buffer) == 16);
static_assert(offsetof(Buffer, len) == 8);
static_assert(offsetof(Buffer, bid) == 12);

struct BufferRingHeader {
  uint64_t resv1;
  uint32_t resv2;
  uint16_t resv3;
  uint16_t tail;
};
static_assert(sizeof(BufferRingHeader) == sizeof(Buffer));
static_assert(offsetof(BufferRingHeader, tail) == offsetof(Buffer, resv));

// Argument of kRegisterBufferRing and kUnregisterBufferRing.
struct BufferRingRegistration {
  uint64_t ring_addr;
  uint32_t ring_entries;
  uint16_t bgid;
  uint16_t flags;
  uint64_t resv[3];
};
static_assert(sizeof(BufferRingRegistration) == 40);
static_assert(offsetof(BufferRingRegistration, ring_entries) == 8);
static_assert(offsetof(BufferRingRegistration, bgid) == 12);
static_assert(offsetof(BufferRingRegistration, flags) == 14);

// Restriction::opcode: what `allowed` is.
inline constexpr uint16_t kRestrictionRegisterOp = 0;
inline constexpr uint16_t kRestrictionSubmissionOp = 1;
inline constexpr uint16_t kRestrictionSubmissionFlags = 2;

// One element of the argument of kRegisterRestrictions: one thing that stays allowed.
struct Restriction {
  uint16_t opcode;
  uint8_t allowed;
  uint8_t resv;
  uint32_t resv2[3];
};
static_assert(sizeof(Restriction) == 16);
static_assert(offsetof(Restriction, allowed) == 2);

// Argument of kRegisterBufferStatus.
struct BufferStatus {
  uint32_t buf_group;
  uint32_t head;
  uint32_t resv[8];
};
static_assert(sizeof(BufferStatus) == 40);
static_assert(offsetof(BufferStatus, head) == 4);

// The kernel's own timespec: 64-bit seconds on every architecture.
struct Timespec {
  int64_t tv_sec;
  int64_t tv_nsec;
};
static_assert(sizeof(Timespec) == 16);

// Argument of kRegisterSyncCancel.
struct SyncCancel {
  uint64_t addr;
  int32_t fd;
  uint32_t flags;
  Timespec timeout;
  uint8_t opcode;
  uint8_t pad[7];
  uint64_t pad2[3];
};
static_assert(sizeof(SyncCancel) == 64);
static_assert(offsetof(SyncCancel, fd) == 8);
static_assert(offsetof(SyncCancel, flags) == 12);
static_assert(offsetof(SyncCancel, timeout) == 16);
static_assert(offsetof(SyncCancel, opcode) == 32);

struct ProbeOp {
  uint8_t op;
  uint8_t resv;
  uint16_t flags;
  uint32_t resv2;
};
static_assert(sizeof(ProbeOp) == 8);
static_assert(offsetof(ProbeOp, flags) == 2);

// Opcodes are one byte, so 256 is every one that there can be.
inline constexpr uint32_t kMaxOpcodes = 256;

// Argument of kRegisterProbe, with room for every opcode.
struct Probe {
  uint8_t last_op;
  uint8_t ops_len;
  uint16_t resv;
  uint32_t resv2[3];
  ProbeOp ops[kMaxOpcodes];
};
static_assert(sizeof(Probe) == 16 + 8 * kMaxOpcodes);
static_assert(offsetof(Probe, ops_len) == 1);
static_assert(offsetof(Probe, ops) == 16);

}  // namespace sheaf::abi
