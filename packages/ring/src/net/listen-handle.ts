import {
  callInScope, defaultRing, limits, type ListenerHandler, type Ring, type StreamListener, timers,
} from '@sheaf/ring'
import { Errno } from '../abi'
import type { AddressFamily, ListenRequest, SocketName } from './address-family'
import type { PrimaryHandle } from './cluster'
import { callError } from './errors'
import { isForeignHandle, takeDescriptor } from './foreign-handle'
import { HandleResource } from './handle-resource'
import { nodeListenHandle, tellOwner } from './node-handle'
import type { Server } from './server'
import { handleEvents } from './socket-events'
import { SocketHandle } from './socket-handle'

const resourceTypes = { tcp: 'TCPSERVERWRAP', pipe: 'PIPESERVERWRAP' } as const
const shutdownBoth = 2

/**
 * What happens when accepting fails is the listener's own business: it waits for descriptors or memory to come back.
 * (Node's servers close such connections.)
 */
const listenerEvents: ListenerHandler = {}

/** What a {@link Server} has in `_handle`: a listener, with the surface that a handle of libuv has. */
export class ListenHandle {
  readonly family: AddressFamily
  readonly #ring: Ring
  readonly #resource: HandleResource<Server>
  #owner!: Server
  #listener: StreamListener | undefined
  #dealer: PrimaryHandle | undefined
  readonly #leave: (() => void)[] = []
  /** What the kernel has accepted when it is closed is still told: its peers take other workers to serve them. */
  servesAccepted = false
  #referenced = true
  /** Others may have the socket too. */
  #shared = false
  #closed = false

  /** Told of each connection, in the handle's async context. */
  onconnection: (this: ListenHandle, error: number, handle: SocketHandle) => void

  constructor(family: AddressFamily, onconnection: ListenHandle['onconnection'], ring: Ring = defaultRing()) {
    this.family = family
    this.onconnection = onconnection
    this.#ring = ring
    this.#resource = new HandleResource(resourceTypes[family.kind], this)
  }

  /** No property of its own: a server that is logged as JSON would be found in its own handle. */
  get owner(): Server {
    return this.#owner
  }

  set owner(owner: Server) {
    this.#owner = owner
  }

  /** Whoever asks may give it to another process, which goes on when this one closes it. */
  get fd(): number {
    this.#shared = true
    return this.#closed ? -1 : this.#listener?.fd ?? this.#dealer?.fd ?? -1
  }

  /** @returns 0 or `-errno`. */
  listen(request: ListenRequest): number {
    const listener = this.family.listen(this.#ring, request, listenerEvents, this.#accept)
    if (typeof listener === 'number') return listener
    this.#use(listener)
    return 0
  }

  /**
   * Listens on a socket that is there already, that nobody else has, and that is the handle's from then on.
   * @returns 0 or `-errno`.
   */
  adopt(fd: number, backlog: number): number {
    const result = this.#ring.sockets.listen(fd, backlog)
    if (result < 0) return result
    this.#use(this.family.listener(this.#ring, fd, listenerEvents, this.#accept))
    return 0
  }

  /** Takes the connections that the primary of a cluster deals out. */
  deal(dealer: PrimaryHandle): void {
    this.#dealer = dealer
    tellOwner(dealer, () => this.owner)
    dealer.onconnection = (error, handle) => {
      if (error !== 0 || !isForeignHandle(handle)) return
      const fd = takeDescriptor(this.#ring, handle)
      if (fd >= 0) this.#accept(fd).begin()
      // Out of descriptors, libuv closes who has connected.
      else handle.close()
    }
  }

  /**
   * Has Node accept from here on, as other processes will do who are given the handle.
   * @returns Node's handle, which stays this one's. @throws SystemError `EMFILE`, `EINVAL`.
   */
  share(): PrimaryHandle {
    const dealt = this.#dealer
    // What the primary of a cluster deals out is no socket.
    if (dealt !== undefined && dealt.fd === undefined) throw callError(-Errno.EINVAL, 'dup')
    if (dealt !== undefined) return dealt
    const listener = this.#listener
    if (listener === undefined || this.#closed) throw callError(-Errno.EBADF, 'dup')
    const fd = this.#ring.sockets.dup(listener.fd)
    if (fd < 0) throw callError(fd, 'dup')
    const dealer = nodeListenHandle(this.#ring, fd)
    const result = dealer.listen(limits.backlog)
    if (result < 0) {
      dealer.close()
      throw callError(result, 'listen')
    }
    this.#listener = undefined
    listener.leave()
    if (!this.#referenced) dealer.unref()
    this.deal(dealer)
    return dealer
  }

  /**
   * A descriptor of the socket, for somebody else to go on with after {@link leave}.
   * @returns `-errno` if there is none.
   */
  lend(): number {
    const fd = this.#closed ? undefined : this.#listener?.fd
    return fd === undefined ? -Errno.EBADF : this.#ring.sockets.dup(fd)
  }

  /** Closes it for somebody else to go on: what had been accepted meanwhile is told, and nothing after that. */
  leave(): void {
    this.#shared = true
    this.#listener?.leave()
    this.close()
  }

  /** Has something done when the handle is closed. */
  whenClosing(leave: () => void): void {
    this.#leave.push(leave)
  }

  #use(listener: StreamListener): void {
    this.#listener = listener
    if (!this.#referenced) listener.unref()
    // Before anything else is asked of the kernel: who connects to a path is connected as soon as that is.
    if (this.family.kind === 'pipe') listener.advance()
  }

  /** Nobody can connect any more when this returns, and the address is free. */
  close(closed?: () => void): void {
    const listener = this.#listener
    if (this.#closed) return
    this.#closed = true
    for (const leave of this.#leave) leave()
    this.#dealer?.close()
    const tellClosed = (): void => {
      if (closed !== undefined) callInScope(this.#resource, closed)
      this.#resource.emitDestroy()
    }
    if (listener === undefined) {
      timers.setImmediate(tellClosed)
      return
    }
    if (this.servesAccepted) {
      listener.acceptWaiting()
      listener.leave()
    }
    if (!this.#shared) this.#ring.sockets.shutdown(listener.fd, shutdownBoth)
    void listener.close().then(tellClosed)
  }

  ref(): void {
    this.#referenced = true
    this.#listener?.ref()
    this.#dealer?.ref()
  }

  unref(): void {
    this.#referenced = false
    this.#listener?.unref()
    this.#dealer?.unref()
  }

  hasRef(): boolean {
    return this.#referenced && !this.#closed
  }

  /** @returns 0 or `-errno`. */
  getsockname(out: SocketName): number {
    if (this.#dealer?.getsockname !== undefined) return this.#dealer.getsockname(out)
    if (this.#listener === undefined || this.#closed) return -Errno.EBADF
    const name = this.family.name(this.#ring, this.#listener.fd, 'getsockname')
    if (typeof name === 'number') return name
    Object.assign(out, name)
    return 0
  }

  getAsyncId(): number {
    return this.#resource.asyncId()
  }

  readonly #accept = (fd: number) =>
    new SocketHandle(this.family, handleEvents, this.#ring, this.getAsyncId()).attach(fd, this.#opened)

  readonly #opened = (handle: SocketHandle): void => {
    callInScope(this.#resource, this.onconnection, this, 0, handle)
  }
}
