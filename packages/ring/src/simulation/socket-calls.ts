import type { SocketCalls } from '@sheaf/native'
import { Errno, messageHeaderBytes, multipleMessageHeaderBytes } from '../abi'
import { DatagramSocket, type DatagramNetwork } from './datagram-socket'
import { type Descriptors, type OpenFile, RoomWatch } from './descriptors'
import { LocalMessageSocket, type LocalNetwork } from './local-message-socket'
import type { SimulatedMemory } from './memory'
import type { Bound, Names } from './names'
import type { SimulatedSocket } from './socket'
import { type Network, StreamSocket } from './stream-socket'
import { type Process, sendAtOnce } from './submissions'

const unixFamily = 1
const streamType = 1
const typeMask = 0xf

/** The socket calls of a simulated kernel. */
export class SimulatedSocketCalls implements SocketCalls {
  readonly #memory: SimulatedMemory
  readonly #descriptors: Descriptors
  readonly #names: Names
  readonly #network: Network & DatagramNetwork & LocalNetwork

  constructor(
    { descriptors, memory, names }: Process,
    network: Network & DatagramNetwork & LocalNetwork,
  ) {
    this.#memory = memory
    this.#descriptors = descriptors
    this.#names = names
    this.#network = network
  }

  socket(domain: number, type: number, protocol: number): number {
    return this.#descriptors.open(this.#create(domain, type, protocol))
  }

  socketpair(domain: number, type: number, into: Int32Array): number {
    const first = this.#create(domain, type, 0)
    const second = this.#create(domain, type, 0)
    if (first instanceof StreamSocket && second instanceof StreamSocket) first.pair(second)
    else if (first instanceof LocalMessageSocket && second instanceof LocalMessageSocket) first.pair(second)
    else return -Errno.EOPNOTSUPP
    const fd = this.#descriptors.open(first)
    const otherFd = this.#descriptors.open(second)
    if (otherFd < 0) {
      if (fd >= 0) this.#descriptors.close(fd)
      return otherFd
    }
    into[0] = fd
    into[1] = otherFd
    return 0
  }

  bind(fd: number, address: Uint8Array): number {
    return this.#on(fd, (socket) => this.#names.bind(socket, address) ? 0 : -Errno.EADDRINUSE)
  }

  connect(fd: number, address: Uint8Array): number {
    return this.#on(fd, (socket) => {
      if (socket instanceof LocalMessageSocket) return socket.connect(address)
      if (socket instanceof StreamSocket) return this.#connectStream(socket, address)
      socket.peerName = Uint8Array.from(address)
      this.#names.bindAnywhere(socket, address)
      return 0
    })
  }

  #connectStream(socket: StreamSocket, address: Uint8Array): number {
    const listener = this.#names.stream(address)
    if (listener === undefined) return -Errno.ECONNREFUSED
    this.#names.bindAnywhere(socket, address)
    return listener.enqueue(socket) ? 0 : -Errno.EAGAIN
  }

  listen(fd: number, backlog: number): number {
    return this.#on(fd, (socket) => {
      if (!(socket instanceof StreamSocket)) return -Errno.EOPNOTSUPP
      socket.listen(backlog)
      return 0
    })
  }

  getsockname(fd: number, into: Uint8Array): number {
    return this.#on(fd, (socket) => copyName(socket.name ?? Uint8Array.of(socket.domain, 0), into))
  }

  getpeername(fd: number, into: Uint8Array): number {
    return this.#on(fd, (socket) => {
      if (socket.peerName === undefined && (socket instanceof DatagramSocket || !socket.connected)) {
        return -Errno.ENOTCONN
      }
      return copyName(socket.peerName ?? Uint8Array.of(socket.domain, 0), into)
    })
  }

  setsockopt(fd: number, level: number, name: number, value: Uint8Array): number {
    return this.#on(fd, (socket) => socket.setOption(level, name, value))
  }

  getsockopt(fd: number, level: number, name: number, into: Uint8Array): number {
    return this.#on(fd, (socket) => socket.getOption(level, name, into))
  }

  shutdown(fd: number): number {
    return this.#on(fd, (socket) => socket.shutdownWrite())
  }

  dup(fd: number): number {
    const file = this.#descriptors.get(fd)
    return file === undefined ? -Errno.EBADF : this.#descriptors.install(file)
  }

  watchRoom(fd: number): number {
    const file = this.#descriptors.get(fd)
    return file === undefined ? -Errno.EBADF : this.#descriptors.install(new RoomWatch(file.socket))
  }

  close(fd: number): number {
    return this.#descriptors.close(fd)
  }

  send(fd: number, first: Uint8Array, second: Uint8Array, third: Uint8Array): number {
    return this.#on(fd, (socket) => {
      if (!(socket instanceof StreamSocket)) return -Errno.EOPNOTSUPP
      let sent = 0
      for (const piece of [first, second, third]) {
        const taken = piece.byteLength === 0 ? 0 : socket.send(piece)
        if (taken < 0) return sent === 0 ? taken : sent
        sent += taken
        if (taken !== piece.byteLength) break
      }
      return sent
    })
  }

  sendmmsg(fd: number, headers: Uint8Array, count: number): number {
    return this.#on(fd, (socket) => {
      if (!(socket instanceof LocalMessageSocket)) return -Errno.EOPNOTSUPP
      const fileOf = (sent: number): OpenFile | undefined => this.#descriptors.get(sent)
      for (let index = 0; index < count; index++) {
        const header = headers.subarray(index * multipleMessageHeaderBytes, (index + 1) * multipleMessageHeaderBytes)
        const result = sendAtOnce(this.#memory, socket, header, fileOf)
        if (result < 0) return index === 0 ? result : index
        new DataView(header.buffer, header.byteOffset).setUint32(messageHeaderBytes, result, true)
      }
      return count
    })
  }

  receive(fd: number, into: Uint8Array): number {
    return this.#on(fd, (socket) => {
      if (!(socket instanceof StreamSocket)) return -Errno.EOPNOTSUPP
      if (socket.receives !== 0) this.#network.violated('a stream was received from that a request receives from')
      return socket.read(into)
    })
  }

  interfaceIndex(): number {
    return -Errno.ENODEV
  }

  ownFile(): number {
    return 0
  }

  disownFile(): void {
    // A simulated thread never ends.
  }

  #create(domain: number, type: number, protocol: number): Bound {
    const kind = type & typeMask
    if (kind === streamType) return new StreamSocket(this.#network, domain, kind, protocol)
    if (domain === unixFamily) return new LocalMessageSocket(this.#network, domain, kind, protocol)
    return new DatagramSocket(this.#network, domain, kind, protocol)
  }

  #on(fd: number, call: (socket: Bound) => number): number {
    const socket = this.#descriptors.get(fd)?.socket
    return isKnown(socket) ? call(socket) : -Errno.EBADF
  }
}

function isKnown(socket: SimulatedSocket | undefined): socket is Bound {
  return socket instanceof StreamSocket || socket instanceof DatagramSocket || socket instanceof LocalMessageSocket
}

function copyName(name: Uint8Array, into: Uint8Array): number {
  into.set(name.subarray(0, into.byteLength))
  return name.byteLength
}
