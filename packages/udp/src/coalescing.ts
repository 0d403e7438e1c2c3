import { internet6Family, internetFamily, type Ring } from '@sheaf/ring'

const datagramType = 2 | 0o4000
const udpProtocol = 17
/** Level and name of `UDP_GRO`. */
const coalesce = [17, 104] as const

/** Rings that have a socket which is kept: see {@link keepCoalescing}. */
const keepers = new WeakSet<Ring>()

/** Has the kernel let datagrams come together on `fd`, or not. @returns 0 or `-errno`. */
export function setCoalescing(ring: Ring, fd: number, enabled: boolean): number {
  if (enabled) keepCoalescing(ring)
  return setOption(ring, fd, enabled)
}

function setOption({ sockets }: Ring, fd: number, enabled: boolean): number {
  return sockets.setsockopt(fd, coalesce[0], coalesce[1], new Uint8Array(Int32Array.of(enabled ? 1 : 0).buffer))
}

/**
 * The kernel patches its code, on all CPUs, for the first socket on the system that coalesces, and back when the last
 * of them closes: 100 μs, some ten times what a socket costs. So a ring that has had one keeps one, which is not
 * bound.
 */
function keepCoalescing(ring: Ring): void {
  if (keepers.has(ring)) return
  keepers.add(ring)
  // One of IPv6 is for both.
  for (const family of [internet6Family, internetFamily]) {
    const fd = ring.sockets.socket(family, datagramType, udpProtocol)
    if (fd < 0) continue
    setOption(ring, fd, true)
    ring.keep(fd)
    return
  }
}
