import type {
  ConnectionOptions, ListenerHandler, Ring, StreamConnection, StreamHandler, StreamListener,
} from '@sheaf/ring'

/** `TCP` sockets are addressed by IP address and port, `pipe`s by a path. The names are those of Node's handles. */
export type FamilyKind = 'tcp' | 'pipe'

/** Where a socket of a family is, or is to be: an IP address and its version, or a path (`version` and `port` 0). */
export interface Endpoint {
  readonly address: string
  readonly port: number
  readonly version: 0 | 4 | 6
}

/** How a listening socket is to be made. */
export interface ListenRequest extends Endpoint {
  readonly backlog: number
  readonly ipv6Only: boolean
  readonly reusePort: boolean
  /** Permissions that everybody is to have on the socket file besides those of the umask: bits of 0o666. */
  readonly mode: number
}

/** When the kernel asks an idle peer whether it is there, and how often. */
export interface KeepAliveDelays {
  /** 0 leaves the system's default, of the other two as well. */
  readonly initialSeconds: number
  /** Default 1. */
  readonly intervalSeconds?: number | undefined
  /** Default 10. */
  readonly probes?: number | undefined
}

/** What `net.Socket#address()` gives; nothing of it for pipes. */
export interface SocketName {
  address?: string
  family?: string
  port?: number
}

/**
 * What {@link Socket} and {@link Server} need of an address family. Calls that can fail in the kernel return `-errno`
 * then, as Node's errors are made of that.
 */
export interface AddressFamily {
  readonly kind: FamilyKind
  /** A new socket. @returns a descriptor or `-errno`. */
  open(ring: Ring, endpoint: Endpoint): number
  /** @returns 0 or `-errno`. */
  bind(ring: Ring, fd: number, endpoint: Endpoint): number
  /** A `sockaddr`. @throws SystemError if there is no such address. */
  encode(ring: Ring, endpoint: Endpoint): Uint8Array
  /** A connection of a socket, which is its own from then on. */
  connection(ring: Ring, fd: number, handler: StreamHandler, options: ConnectionOptions): StreamConnection
  /** A listener of a new socket, bound as asked. @returns `-errno` if there can be none. */
  listen(
    ring: Ring,
    request: ListenRequest,
    handler: ListenerHandler,
    accept: (fd: number) => StreamConnection,
  ): StreamListener | number
  /** A listener of a socket that listens already, which is its own from then on. */
  listener(ring: Ring, fd: number, handler: ListenerHandler, accept: (fd: number) => StreamConnection): StreamListener
  /** Where a socket, or its peer, is. @returns `-errno` if there is no answer. */
  name(ring: Ring, fd: number, call: 'getsockname' | 'getpeername'): SocketName | number
  setNoDelay?(connection: StreamConnection, enabled: boolean): void
  setKeepAlive?(connection: StreamConnection, enabled: boolean, delays: KeepAliveDelays): void
  /** @param value the byte in the IP header; absent: as it is. @returns what it is then, or `-errno`. */
  typeOfService?(connection: StreamConnection, value?: number): number
}
