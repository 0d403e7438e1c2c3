#include "uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
  NR_SETUP = 425,
  NR_ENTER = 426,
  NR_REGISTER = 427,

  SETUP_CQSIZE = 1 << 3,
  SETUP_SUBMIT_ALL = 1 << 7,
  SETUP_SINGLE_ISSUER = 1 << 12,
  SETUP_DEFER_TASKRUN = 1 << 13,
  SETUP_NO_SQARRAY = 1 << 16,

  ENTER_GETEVENTS = 1 << 0,

  REGISTER_BUFFER_RING = 22,
  UNREGISTER_BUFFER_RING = 23,
};

static const uint64_t OFFSET_RINGS = 0, OFFSET_SQES = 0x10000000;

struct sq_offsets {
  uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved;
  uint64_t user_address;
};

struct cq_offsets {
  uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved;
  uint64_t user_address;
};

struct params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, reserved[3];
  struct sq_offsets sq;
  struct cq_offsets cq;
};
_Static_assert(sizeof(struct params) == 120, "io_uring_params");

struct buffer_ring_registration {
  uint64_t address;
  uint32_t entries;
  uint16_t group, flags;
  uint64_t reserved[3];
};
_Static_assert(sizeof(struct buffer_ring_registration) == 40, "io_uring_buf_reg");

int uring_create(struct uring* ring, uint32_t sq_entries, uint32_t cq_entries) {
  struct params params = {
      .cq_entries = cq_entries,
      .flags = SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_NO_SQARRAY,
  };
  memset(ring, 0, sizeof *ring);
  ring->fd = (int)syscall(NR_SETUP, sq_entries, &params);
  if (ring->fd < 0) return -errno;
  ring->flags = params.flags;
  ring->sq_entries = params.sq_entries;
  ring->cq_entries = params.cq_entries;

  // IORING_FEAT_SINGLE_MMAP (5.4): one mapping holds both queues.
  size_t ring_bytes = params.cq.cqes + params.cq_entries * sizeof(struct cqe);
  char* rings =
      mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, (off_t)OFFSET_RINGS);
  if (rings == MAP_FAILED) return -errno;
  ring->sqes = mmap(NULL, params.sq_entries * sizeof(struct sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                    ring->fd, (off_t)OFFSET_SQES);
  if (ring->sqes == MAP_FAILED) return -errno;

  ring->sq_tail = (uint32_t*)(rings + params.sq.tail);
  ring->cq_head = (uint32_t*)(rings + params.cq.head);
  ring->cq_tail = (uint32_t*)(rings + params.cq.tail);
  ring->cq_overflow = (uint32_t*)(rings + params.cq.overflow);
  ring->cqes = (struct cqe*)(rings + params.cq.cqes);
  return 0;
}

int buffer_ring_map(struct buffer_ring* buffers, uint32_t entries, uint16_t group) {
  void* memory = mmap(NULL, entries * sizeof(struct buffer_entry), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  *buffers = (struct buffer_ring){.entries = memory, .mask = entries - 1, .group = group};
  return 0;
}

void buffer_ring_unmap(struct buffer_ring* buffers) {
  munmap(buffers->entries, (buffers->mask + 1) * sizeof(struct buffer_entry));
  buffers->entries = NULL;
}

int buffer_ring_register(struct uring* ring, const struct buffer_ring* buffers) {
  struct buffer_ring_registration registration = {
      .address = (uint64_t)(uintptr_t)buffers->entries, .entries = buffers->mask + 1, .group = buffers->group};
  return syscall(NR_REGISTER, ring->fd, REGISTER_BUFFER_RING, &registration, 1) < 0 ? -errno : 0;
}

void buffer_ring_unregister(struct uring* ring, const struct buffer_ring* buffers) {
  struct buffer_ring_registration registration = {.group = buffers->group};
  syscall(NR_REGISTER, ring->fd, UNREGISTER_BUFFER_RING, &registration, 1);
}

int uring_enter(struct uring* ring, uint32_t min_complete) {
  ring->enters++;
  long taken = syscall(NR_ENTER, ring->fd, ring->to_submit, min_complete, ENTER_GETEVENTS, NULL, 0);
  if (taken < 0) return -errno;
  ring->to_submit -= (uint32_t)taken;
  return 0;
}

struct sqe* uring_next(struct uring* ring) {
  while (ring->to_submit == ring->sq_entries)
    if (uring_enter(ring, 0) == -EBADF) return NULL;
  uint32_t tail = *ring->sq_tail;
  struct sqe* entry = &ring->sqes[tail & (ring->sq_entries - 1)];
  memset(entry, 0, sizeof *entry);
  // Seen by the kernel only inside io_uring_enter, on this thread: the caller fills the entry in before that.
  *ring->sq_tail = tail + 1;
  ring->to_submit++;
  return entry;
}
