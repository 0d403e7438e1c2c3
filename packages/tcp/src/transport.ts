import type { InternetAddress, Listener, StreamHandler, Transport } from '@sheaf/ring'
import type { TcpInfo } from './tcp-info'

/** The three timers of TCP keep-alive. What is absent keeps the system's default. */
export interface KeepAlive {
  /** Idle time before the first probe, in seconds, 1 to 32767. */
  idleSeconds?: number
  /** Time between probes, in seconds, 1 to 32767. */
  intervalSeconds?: number
  /** Unanswered probes before the connection is given up, 1 to 127. */
  probes?: number
}

/**
 * A TCP connection, on io_uring or on Node's sockets. Where it is on Node's, what those can't do throws SheafError
 * `ERR_SHEAF_UNSUPPORTED`; `README.md` has the list.
 */
export interface TcpConnection extends Transport {
  handler: StreamHandler<TcpConnection>
  readonly localAddress: InternetAddress | undefined
  readonly remoteAddress: InternetAddress | undefined

  /** Sends small segments at once instead of waiting for acknowledgements of earlier ones (Nagle's algorithm off). */
  setNoDelay(enabled?: boolean): void
  /** Probes an idle peer, or stops doing so. @throws RangeError for a timer out of range. */
  setKeepAlive(keepAlive: KeepAlive | boolean): void
  /**
   * What closing does with bytes that the peer has not acknowledged. @param seconds 0 to 65535; 0 makes it a reset,
   * undefined is the default again. Otherwise a thread of the kernel's waits until they are acknowledged, or so
   * many seconds.
   */
  setLinger(seconds: number | undefined): void
  /** What the kernel knows of the connection (`TCP_INFO`). */
  info(): TcpInfo
  /** Bytes that may wait unsent in the kernel before it calls the socket full (`TCP_NOTSENT_LOWAT`), 0 to 2^31-1. */
  setNotSentLowWater(sizeBytes: number): void
  /**
   * Time that sent bytes may stay unacknowledged before the connection is given up, in ms; 0 is the system's default.
   */
  setUserTimeout(timeoutMs: number): void
  /** Acknowledges at once. The kernel goes back to delayed acknowledgements by itself, so this is not permanent. */
  setQuickAck(enabled?: boolean): void
  /** Name of the congestion control algorithm in use. */
  readonly congestionControl: string
  /**
   * @param name one of `net.ipv4.tcp_available_congestion_control`. @throws SystemError `ENOENT` if there is none
   * such.
   */
  setCongestionControl(name: string): void
  /**
   * The IPv4 type of service, or IPv6 traffic class, of what is sent, 0 to 255. The lowest two bits are ECN, which the
   * kernel keeps for itself: 255 is 252.
   */
  setTypeOfService(value: number): void
  readonly typeOfService: number
  /** Mark for routing and filtering, 0 to 2^32-1. Needs `CAP_NET_ADMIN`. @throws SystemError `EPERM` */
  setMark(mark: number): void
  /** Size of the kernel's send buffer in bytes. The kernel doubles what is set, and bounds it (`net.core.wmem_max`). */
  readonly sendBufferBytes: number
  setSendBufferBytes(sizeBytes: number): void
  /**
   * Size of the kernel's receive buffer in bytes. The kernel doubles what is set, and bounds it
   * (`net.core.rmem_max`).
   */
  readonly receiveBufferBytes: number
  setReceiveBufferBytes(sizeBytes: number): void
}

/** A listening TCP socket. */
export interface TcpListener extends Listener {
  readonly address: InternetAddress
}
