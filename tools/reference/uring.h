// The part of io_uring's ABI that the reference proxy needs, and a ring on raw system calls.
//
// Declared by hand, as @sheaf/native does, because a distribution's <linux/io_uring.h> is often years older than its
// kernel. Numbers from include/uapi/linux/io_uring.h of Linux 6.18; they never change once released.
#ifndef SHEAF_REFERENCE_URING_H
#define SHEAF_REFERENCE_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  OP_SENDMSG = 9,
  OP_RECVMSG = 10,
  OP_ACCEPT = 13,
  OP_ASYNC_CANCEL = 14,
  OP_CONNECT = 16,
  OP_READ = 22,
  OP_SEND = 26,
  OP_RECV = 27,
};

enum {
  SQE_BUFFER_SELECT = 1 << 5,

  ACCEPT_MULTISHOT = 1 << 0,
  RECV_MULTISHOT = 1 << 1,
  RECVSEND_BUNDLE = 1 << 4,

  CANCEL_ALL = 1 << 0,
  CANCEL_FD = 1 << 1,

  CQE_F_BUFFER = 1 << 0,
  CQE_F_MORE = 1 << 1,
  CQE_BUFFER_SHIFT = 16,
};

struct sqe {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t offset;
  uint64_t address;
  uint32_t length;
  uint32_t op_flags;
  uint64_t user_data;
  uint16_t buffer_group;
  uint16_t personality;
  uint32_t file_index;
  uint64_t pad[2];
};
_Static_assert(sizeof(struct sqe) == 64, "io_uring_sqe");
_Static_assert(offsetof(struct sqe, buffer_group) == 40, "io_uring_sqe.buf_group");

struct cqe {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};
_Static_assert(sizeof(struct cqe) == 16, "io_uring_cqe");

// An entry of a provided-buffer ring. The ring's tail lies over `reserved` of the first.
struct buffer_entry {
  uint64_t address;
  uint32_t length;
  uint16_t id;
  uint16_t reserved;
};
_Static_assert(sizeof(struct buffer_entry) == 16, "io_uring_buf");

// What a multishot RECVMSG puts in front of the payload.
struct recvmsg_header {
  uint32_t name_bytes;
  uint32_t control_bytes;
  uint32_t payload_bytes;
  uint32_t flags;
};
_Static_assert(sizeof(struct recvmsg_header) == 16, "io_uring_recvmsg_out");

struct uring {
  int fd;
  uint32_t flags;
  uint32_t sq_entries, cq_entries;
  struct sqe* sqes;
  uint32_t *sq_tail, *cq_head, *cq_tail, *cq_overflow;
  struct cqe* cqes;
  uint32_t to_submit;
  uint64_t enters;
};

// A provided-buffer ring. Entries are taken by the kernel in the order published; `tail` counts what was published.
struct buffer_ring {
  struct buffer_entry* entries;
  uint32_t mask;
  uint16_t tail;
  uint16_t group;
};

// Those that return something return 0 or -errno.
int uring_create(struct uring* ring, uint32_t sq_entries, uint32_t cq_entries);
int buffer_ring_map(struct buffer_ring* buffers, uint32_t entries, uint16_t group);
void buffer_ring_unmap(struct buffer_ring* buffers);
int buffer_ring_register(struct uring* ring, const struct buffer_ring* buffers);
void buffer_ring_unregister(struct uring* ring, const struct buffer_ring* buffers);

// Submits what is queued, waits for `min_complete` completions and runs deferred work. Returns 0 or -errno.
int uring_enter(struct uring* ring, uint32_t min_complete);
// A zeroed entry at the queue's tail. Submits when the queue is full.
struct sqe* uring_next(struct uring* ring);

// Queues a buffer; the kernel sees it after `buffer_ring_publish`.
static inline void buffer_ring_add(struct buffer_ring* buffers, uint64_t address, uint32_t length, uint16_t id) {
  struct buffer_entry* entry = &buffers->entries[buffers->tail++ & buffers->mask];
  entry->address = address;
  entry->length = length;
  entry->id = id;
}

static inline void buffer_ring_publish(struct buffer_ring* buffers) {
  __atomic_store_n(&buffers->entries[0].reserved, buffers->tail, __ATOMIC_RELEASE);
}

#endif
