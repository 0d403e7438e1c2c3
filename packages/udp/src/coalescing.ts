import { internet6Family, internetFamily, type Ring, type SocketOption } from '@sheaf/ring'

const datagramType = 2
const udpProtocol = 17

/** `UDP_GRO`: datagrams that came together are received together. See {@link keepCoalescing}. */
export const coalesce: SocketOption = [udpProtocol, 104]

/** Rings that have such a socket. */
const keepers = new WeakSet<Ring>()

/**
 * To be called before a socket of the ring's is to coalesce. The kernel patches its code, on all CPUs, for the first
 * socket on the system that does, and back when the last of them closes: 100 μs, some ten times what a socket costs.
 * So a ring that has had one keeps one, which is not bound.
 */
export function keepCoalescing(ring: Ring): void {
  if (keepers.has(ring)) return
  keepers.add(ring)
  // One of IPv6 is for both.
  for (const family of [internet6Family, internetFamily]) {
    const fd = ring.sockets.socket(family, datagramType, udpProtocol)
    if (fd < 0) continue
    ring.sockets.setsockopt(fd, ...coalesce, new Uint8Array(Int32Array.of(1).buffer))
    ring.keep(fd)
    return
  }
}
