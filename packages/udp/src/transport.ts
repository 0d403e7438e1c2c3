import type { InternetAddress, MessageHandler, MessageTransport } from '@sheaf/ring'

/**
 * Where a datagram goes: an IPv4 or IPv6 address in text form, not a host name, and a port. What comes from port 0
 * can't be answered: that is an error of the answer (`EINVAL`), told to its callback or the handler.
 */
export interface Destination {
  readonly address: string
  readonly port: number
}

export type UdpHandler = MessageHandler<UdpSocket, InternetAddress>

/**
 * A UDP socket, on io_uring or on Node's sockets. Where it is on Node's, what those can't do throws SheafError
 * `ERR_SHEAF_UNSUPPORTED`; `README.md` has the list.
 */
export interface UdpSocket extends MessageTransport<InternetAddress, Destination> {
  handler: UdpHandler

  /**
   * From now on sends to, and receives from, one peer only; what was sent before goes where it was sent to. That is so
   * as soon as this returns, but for an error.
   * @returns rejects with TypeError or RangeError if `to` is no destination; with what `connect(2)` fails with
   *   (`EACCES` for a broadcast address, `ENETUNREACH`, …): then the socket has the peer that it had, or none.
   */
  connect(to: Destination): Promise<void>
  /**
   * Undoes {@link connect}. A port that the system chose is given back with it, and another is chosen by the next
   * `send`; that of `localAddress` is 0 until then.
   * @throws Error `ERR_SOCKET_DGRAM_NOT_CONNECTED`; SystemError of `connect(2)`.
   */
  disconnect(): void
  /** Allows sending to broadcast addresses. */
  setBroadcast(enabled: boolean): void
  /** Hops that what is sent may take, 1 to 255. */
  setTimeToLive(hops: number): void
  /** Type of service (IPv4), traffic class (IPv6) of what is sent, 0 to 255; the lowest two bits are ECN. */
  setTypeOfService(value: number): void
  /** Size of the kernel's send buffer in bytes. The kernel doubles what is set, and bounds it (`net.core.wmem_max`). */
  readonly sendBufferBytes: number
  setSendBufferBytes(sizeBytes: number): void
  /**
   * Size of the kernel's receive buffer in bytes. The kernel doubles what is set, and bounds it (`net.core.rmem_max`).
   */
  readonly receiveBufferBytes: number
  setReceiveBufferBytes(sizeBytes: number): void
  /** What the kernel knows the path of a connected socket to take, in bytes with all headers. */
  readonly pathMtuBytes: number
  /**
   * Receives what is sent to a multicast group. @param networkInterface its name or an address of it; absent, the
   * system chooses. One that is not running (no cable yet) is found by its name, and an IPv4 socket finds it by
   * an IPv4 address of it; on Node's sockets that one only so.
   */
  addMembership(group: string, networkInterface?: string): void
  dropMembership(group: string, networkInterface?: string): void
  /** As {@link addMembership}, but only what `source` sends. */
  addSourceSpecificMembership(source: string, group: string, networkInterface?: string): void
  dropSourceSpecificMembership(source: string, group: string, networkInterface?: string): void
  /** The interface, by name or an address of it, by which multicast leaves. */
  setMulticastInterface(networkInterface: string): void
  /** Hops that multicast may take, 0 to 255. */
  setMulticastTimeToLive(hops: number): void
  /** Whether multicast that is sent is also received on this host, as it is by default. */
  setMulticastLoopback(enabled: boolean): void
}
