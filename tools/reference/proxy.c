// A TCP proxy on raw io_uring: what `npm run proxy` does, in C, as the yardstick for its cost.
//
// One thread, one ring. Bytes arrive by multishot receive in a pool of provided buffers shared by all connections; the
// buffers go as they are into the other side's send queue (a provided-buffer ring, or an iovec for sendmsg) and return
// to the pool when sent. Once a turn each side that has something queued, and nothing in flight, issues one send.
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "options.h"
#include "uring.h"

enum { SQ_ENTRIES = 4096, CQ_ENTRIES = 16384, MOST_SIDES = 8192, MOST_VECTORS = 1024, LISTEN_BACKLOG = 511 };

enum operation { ON_ACCEPT, ON_CONNECT, ON_RECEIVE, ON_SEND, ON_CANCEL, ON_SIGNAL };

// One socket of a pair. `queue` holds what is to be sent to it: `queue.tail - sent` buffers.
struct side {
  int fd;
  uint32_t index;
  struct side* peer;
  struct side* next_dirty;
  bool dirty, receiving, parked, discards;
  bool received_end;  // the peer host has finished sending
  bool ends;          // FIN follows what is queued
  bool ended;         // FIN has been sent
  bool broken;        // failed, or its other side did: to be closed without ceremony
  bool in_flight, cancelling, connecting;
  struct buffer_ring queue;
  uint16_t sent;
  struct iovec* vectors;
  struct msghdr message;
};

static struct options options;
static struct uring ring;
static struct buffer_ring pool;
static char* memory;
static uint32_t stride;     // bytes from one buffer to the next
static uint16_t* position;  // where in `pool` each buffer was published last
static uint32_t available;  // published to the kernel and not yet received into
static uint32_t rearm_at;   // parked receives go on when this many are available
static struct side* sides[MOST_SIDES];
static struct side* dirty;
static uint32_t parked_count;
static struct msghdr receive_message;
static bool stopping;
static struct {
  uint64_t bytes, receives, sends, buffers_received, buffers_sent, parks, largest_receive, largest_send;
} totals;

static void die(const char* what, int error) {
  fprintf(stderr, "reference-proxy: %s: %s\n", what, strerror(error));
  exit(1);
}

static uint64_t tag(enum operation operation, const struct side* side) {
  return (uint64_t)(side ? side->index : 0) << 8 | operation;
}

static void touch(struct side* side) {
  if (side->dirty) return;
  side->dirty = true;
  side->next_dirty = dirty;
  dirty = side;
}

static void give_back(uint16_t id) {
  position[id] = pool.tail;
  buffer_ring_add(&pool, (uint64_t)(uintptr_t)(memory + (size_t)id * stride), stride, id);
  available++;
}

static void arm_accept(int listener) {
  struct sqe* sqe = uring_next(&ring);
  sqe->opcode = OP_ACCEPT;
  sqe->fd = listener;
  sqe->ioprio = ACCEPT_MULTISHOT;
  sqe->op_flags = SOCK_CLOEXEC;
  sqe->user_data = tag(ON_ACCEPT, NULL);
}

static void arm_receive(struct side* side) {
  struct sqe* sqe = uring_next(&ring);
  sqe->fd = side->fd;
  sqe->flags = SQE_BUFFER_SELECT;
  sqe->buffer_group = pool.group;
  sqe->ioprio = RECV_MULTISHOT;
  sqe->user_data = tag(ON_RECEIVE, side);
  if (options.receive == RECEIVE_RECVMSG) {
    sqe->opcode = OP_RECVMSG;
    sqe->address = (uint64_t)(uintptr_t)&receive_message;
    sqe->length = 1;
  } else {
    sqe->opcode = OP_RECV;
    if (options.receive == RECEIVE_BUNDLE) sqe->ioprio |= RECVSEND_BUNDLE;
  }
  side->receiving = true;
  side->parked = false;
}

static void start_send(struct side* side) {
  uint32_t queued = (uint16_t)(side->queue.tail - side->sent);
  if (options.send == SEND_SENDMSG) {
    uint32_t count = queued < MOST_VECTORS ? queued : MOST_VECTORS;
    for (uint32_t i = 0; i < count; i++) {
      const struct buffer_entry* entry = &side->queue.entries[(side->sent + i) & side->queue.mask];
      side->vectors[i] = (struct iovec){(void*)(uintptr_t)entry->address, entry->length};
    }
    side->message = (struct msghdr){.msg_iov = side->vectors, .msg_iovlen = count};
    struct sqe* sqe = uring_next(&ring);
    sqe->opcode = OP_SENDMSG;
    sqe->fd = side->fd;
    sqe->address = (uint64_t)(uintptr_t)&side->message;
    sqe->length = 1;
    sqe->op_flags = MSG_NOSIGNAL | MSG_WAITALL;
    sqe->user_data = tag(ON_SEND, side);
    side->in_flight = true;
    return;
  }
  buffer_ring_publish(&side->queue);
  struct sqe* sqe = uring_next(&ring);
  sqe->opcode = OP_SEND;
  sqe->fd = side->fd;
  sqe->flags = SQE_BUFFER_SELECT;
  sqe->buffer_group = side->queue.group;
  sqe->op_flags = MSG_NOSIGNAL | MSG_WAITALL;
  sqe->user_data = tag(ON_SEND, side);
  if (options.send == SEND_BUNDLE) sqe->ioprio = RECVSEND_BUNDLE;
  // One buffer a request, and one request at a time. Several at once arrive in another order as soon as the socket is
  // full, because one that was cut short waits while the next takes its turn; chained by IOSQE_IO_LINK they keep their
  // order and are no faster. The next buffer follows at once, so TCP may as well wait for it.
  if (options.send == SEND_SINGLE && queued > 1) sqe->op_flags |= MSG_MORE;
  side->in_flight = true;
}

static struct side* create_side(int fd) {
  for (uint32_t index = 0; index < MOST_SIDES; index++) {
    if (sides[index]) continue;
    struct side* side = calloc(1, sizeof *side);
    if (!side) die("memory", ENOMEM);
    side->fd = fd;
    side->index = index;
    // The pool is group 0. A queue as large as the pool can't overflow.
    int error = buffer_ring_map(&side->queue, options.buffers, (uint16_t)(index + 1));
    if (!error && options.send != SEND_SENDMSG) error = buffer_ring_register(&ring, &side->queue);
    if (error) die("send queue", -error);
    if (options.send == SEND_SENDMSG) side->vectors = calloc(MOST_VECTORS, sizeof *side->vectors);
    return sides[index] = side;
  }
  return NULL;
}

static void destroy_side(struct side* side) {
  while (side->sent != side->queue.tail) give_back(side->queue.entries[side->sent++ & side->queue.mask].id);
  if (options.send != SEND_SENDMSG) buffer_ring_unregister(&ring, &side->queue);
  buffer_ring_unmap(&side->queue);
  free(side->vectors);
  close(side->fd);
  if (side->parked) parked_count--;
  sides[side->index] = NULL;
  free(side);
}

static void on_accept(const struct cqe* cqe, int listener) {
  if (!(cqe->flags & CQE_F_MORE)) arm_accept(listener);
  if (cqe->result < 0) return;
  struct side* in = create_side(cqe->result);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct side* out = fd < 0 || !in ? NULL : create_side(fd);
  if (!out) {
    if (in) destroy_side(in);
    if (fd >= 0) close(fd);
    return;
  }
  in->peer = out;
  out->peer = in;
  out->discards = !options.bidirectional;
  out->connecting = true;
  struct sqe* sqe = uring_next(&ring);
  sqe->opcode = OP_CONNECT;
  sqe->fd = fd;
  sqe->address = (uint64_t)(uintptr_t)&options.target;
  sqe->offset = sizeof options.target;
  sqe->user_data = tag(ON_CONNECT, out);
}

static void break_pair(struct side* side) {
  side->broken = side->peer->broken = true;
  touch(side);
  touch(side->peer);
}

static void on_connect(struct side* side, int result) {
  side->connecting = false;
  if (result < 0 || side->broken) {
    break_pair(side);
    return;
  }
  arm_receive(side);
  arm_receive(side->peer);
}

// Moves one received buffer to the other side's queue, or back to the pool if nobody wants it.
static void forward(struct side* side, uint16_t id, uint32_t offset, uint32_t length) {
  available--;
  struct side* to = side->peer;
  if (side->discards || to->broken || !length) {
    give_back(id);
    return;
  }
  buffer_ring_add(&to->queue, (uint64_t)(uintptr_t)(memory + (size_t)id * stride + offset), length, id);
}

static void on_receive(struct side* side, const struct cqe* cqe) {
  const uint32_t header = options.receive == RECEIVE_RECVMSG ? sizeof(struct recvmsg_header) : 0;
  bool more = cqe->flags & CQE_F_MORE;
  bool end = cqe->result == 0;
  if (cqe->result > 0) {
    if (!(cqe->flags & CQE_F_BUFFER)) die("a receive without a buffer", EPROTO);
    uint16_t at = position[cqe->flags >> CQE_BUFFER_SHIFT];
    uint32_t left = (uint32_t)cqe->result, count = 0;
    while (left) {
      uint32_t length = left < stride ? left : stride;
      uint16_t id = pool.entries[at++ & pool.mask].id;
      forward(side, id, header, length - header);
      // A header alone is the end.
      if (length == header) end = true;
      if (length != header) count++;
      left -= length;
    }
    if (count) totals.receives++;
    totals.buffers_received += count;
    totals.bytes += (uint32_t)cqe->result - header;
    if (count > totals.largest_receive) totals.largest_receive = count;
    touch(side->peer);
  }
  if (!more) side->receiving = false;
  if (end) {
    side->received_end = true;
    if (!side->discards) side->peer->ends = true;
    touch(side->peer);
  } else if (cqe->result < 0 && cqe->result != -ENOBUFS) {
    break_pair(side);
  } else if (!more && !side->broken) {
    side->parked = true;
    parked_count++;
    totals.parks++;
  }
  touch(side);
}

static void on_send(struct side* side, const struct cqe* cqe) {
  if (!(cqe->flags & CQE_F_MORE)) side->in_flight = false;
  if (cqe->result < 0) {
    // A bundle that found its queue empty.
    if (cqe->result != -ENOBUFS) break_pair(side);
    touch(side);
    return;
  }
  uint32_t left = (uint32_t)cqe->result, count = 0;
  if (options.send != SEND_SENDMSG &&
      side->queue.entries[side->sent & side->queue.mask].id != cqe->flags >> CQE_BUFFER_SHIFT)
    die("buffers sent out of order", EPROTO);
  while (left) {
    const struct buffer_entry* entry = &side->queue.entries[side->sent & side->queue.mask];
    if (side->sent == side->queue.tail || entry->length > left) {
      // A short send: part of a buffer is lost, so the stream is.
      break_pair(side);
      break;
    }
    left -= entry->length;
    side->sent++;
    give_back(entry->id);
    count++;
  }
  totals.sends++;
  totals.buffers_sent += count;
  if (count > totals.largest_send) totals.largest_send = count;
  touch(side);
}

// Does what a side has come to need in this turn. Returns true if the pair has gone.
static bool settle(struct side* side) {
  struct side* peer = side->peer;
  bool queued = side->sent != side->queue.tail;
  if (!side->broken) {
    if (queued && !side->in_flight) start_send(side);
    if (side->ends && !side->ended && !queued && !side->in_flight) {
      shutdown(side->fd, SHUT_WR);
      side->ended = true;
    }
    bool done = options.bidirectional
                    ? side->ended && peer->ended && side->received_end && peer->received_end
                    : (side->discards ? side->ended && side->received_end : peer->ended && peer->received_end);
    if (!done) return false;
    side->broken = peer->broken = true;
  }
  struct side* pair[] = {side, peer};
  bool idle = true;
  for (int i = 0; i < 2; i++) {
    struct side* one = pair[i];
    bool busy = one->receiving || one->in_flight || one->connecting;
    if (busy && !one->cancelling) {
      struct sqe* sqe = uring_next(&ring);
      sqe->opcode = OP_ASYNC_CANCEL;
      sqe->fd = one->fd;
      sqe->op_flags = CANCEL_ALL | CANCEL_FD;
      sqe->user_data = tag(ON_CANCEL, one);
      one->cancelling = true;
    }
    if (busy || one->cancelling) idle = false;
  }
  return idle;
}

static void settle_all(void) {
  while (dirty) {
    struct side* side = dirty;
    dirty = side->next_dirty;
    side->dirty = false;
    if (!settle(side)) continue;
    // The other side may be in the list.
    struct side* peer = side->peer;
    for (struct side** link = &dirty; *link; link = &(*link)->next_dirty)
      if (*link == peer) {
        *link = peer->next_dirty;
        break;
      }
    destroy_side(side);
    destroy_side(peer);
  }
  if (!parked_count || available < rearm_at) return;
  for (uint32_t i = 0; i < MOST_SIDES && parked_count; i++) {
    if (!sides[i] || !sides[i]->parked) continue;
    parked_count--;
    sides[i]->parked = false;
    if (!sides[i]->broken) arm_receive(sides[i]);
  }
}

static int create_listener(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) die("socket", errno);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr*)&options.listen, sizeof options.listen) < 0) die("bind", errno);
  if (listen(fd, LISTEN_BACKLOG) < 0) die("listen", errno);
  socklen_t length = sizeof options.listen;
  getsockname(fd, (struct sockaddr*)&options.listen, &length);
  return fd;
}

static void create_pool(void) {
  stride = options.buffer_bytes + (options.receive == RECEIVE_RECVMSG ? (uint32_t)sizeof(struct recvmsg_header) : 0);
  memory = mmap(NULL, (size_t)stride * options.buffers, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  position = calloc(options.buffers, sizeof *position);
  if (memory == MAP_FAILED || !position) die("memory", ENOMEM);
  int error = buffer_ring_map(&pool, options.buffers, 0);
  if (!error) error = buffer_ring_register(&ring, &pool);
  if (error) die("buffer pool", -error);
  for (uint32_t id = 0; id < options.buffers; id++) give_back((uint16_t)id);
  buffer_ring_publish(&pool);
  rearm_at = options.buffers / 2 ? options.buffers / 2 : 1;
}

static void arm_signals(void) {
  static struct signalfd_siginfo received;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct sqe* sqe = uring_next(&ring);
  sqe->opcode = OP_READ;
  sqe->fd = signalfd(-1, &set, SFD_CLOEXEC);
  sqe->address = (uint64_t)(uintptr_t)&received;
  sqe->length = sizeof received;
  sqe->user_data = tag(ON_SIGNAL, NULL);
}

static void print_totals(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  printf(
      "{\"cpuSeconds\":%.6f,\"bytes\":%llu,\"receives\":%llu,\"sends\":%llu,\"buffersReceived\":%llu,"
      "\"buffersSent\":%llu,\"largestReceive\":%llu,\"largestSend\":%llu,\"parks\":%llu,\"enters\":%llu}\n",
      cpu, (unsigned long long)totals.bytes, (unsigned long long)totals.receives, (unsigned long long)totals.sends,
      (unsigned long long)totals.buffers_received, (unsigned long long)totals.buffers_sent,
      (unsigned long long)totals.largest_receive, (unsigned long long)totals.largest_send,
      (unsigned long long)totals.parks, (unsigned long long)ring.enters);
}

int main(int argc, char** argv) {
  options = parse_options(argc, argv);
  int error = uring_create(&ring, SQ_ENTRIES, CQ_ENTRIES);
  if (error) die("io_uring_setup", -error);
  int listener = create_listener();
  create_pool();
  arm_signals();
  arm_accept(listener);
  fprintf(stderr, "listening on %u\n", ntohs(options.listen.sin_port));

  while (!stopping) {
    error = uring_enter(&ring, 1);
    if (error && error != -EINTR && error != -EAGAIN && error != -EBUSY) die("io_uring_enter", -error);
    uint32_t head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
      const struct cqe* cqe = &ring.cqes[head & (ring.cq_entries - 1)];
      struct side* side = sides[cqe->user_data >> 8];
      switch ((enum operation)(cqe->user_data & 0xff)) {
        case ON_ACCEPT:
          on_accept(cqe, listener);
          break;
        case ON_CONNECT:
          on_connect(side, cqe->result);
          break;
        case ON_RECEIVE:
          on_receive(side, cqe);
          break;
        case ON_SEND:
          on_send(side, cqe);
          break;
        case ON_CANCEL:
          side->cancelling = false, touch(side);
          break;
        case ON_SIGNAL:
          stopping = true;
          break;
      }
    }
    __atomic_store_n(ring.cq_head, tail, __ATOMIC_RELEASE);
    settle_all();
    buffer_ring_publish(&pool);
  }
  if (*ring.cq_overflow) fprintf(stderr, "reference-proxy: %u completions overflowed\n", *ring.cq_overflow);
  print_totals();
  return 0;
}
