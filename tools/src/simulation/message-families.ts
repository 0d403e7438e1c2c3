import type { Address, InternetAddress, MessageHandler, MessageTransport, PathAddress, Ring } from '@sheaf/ring'
import { bind as bindUdp, connect as connectUdp, type UdpSocket } from '@sheaf/udp'
import { datagram, seqpacket } from '@sheaf/unix'
import type { MessageFamilyName } from './program'

/** A socket of any family: what `to` has to be is its family's to know. */
export type AnySocket = MessageTransport<Address, never>

export interface SocketOptions {
  readonly ring: Ring
  readonly writableHighWaterMark: number
  /** Of UDP: datagrams of a size are received together. */
  readonly coalesce: boolean
  /** Of Unix sockets: descriptors are received. */
  readonly receiveDescriptors: boolean
}

/** How the message sockets of one address family are made and sent with. */
export interface MessageFamilyAdapter<T extends AnySocket = AnySocket, A extends Address = Address> {
  bind?(options: SocketOptions, handler: MessageHandler<T, A>): Promise<T>
  connect?(options: SocketOptions, handler: MessageHandler<T, A>, peer: Address): Promise<T>
  pair?(options: SocketOptions, handler: MessageHandler<T, A>, other: MessageHandler<T, A>): readonly [T, T]
  /** Of connections: sends the end. */
  end?(socket: T): void
  /** What an address is told by; undefined for that of an unnamed socket. */
  keyOf(address: Address | undefined): string | undefined
  /** What `send` is told. @param address absent on a connected socket. */
  destination(address: Address | undefined, fds: readonly number[]): object | undefined
  /** A socket with a peer hears nobody else. */
  readonly exclusive: boolean
}

const loopback = '127.0.0.1'

const udp: MessageFamilyAdapter<UdpSocket, InternetAddress> = {
  bind: (options, handler) =>
    bindUdp({ ...options, host: loopback, port: 0 }, handler),
  connect: (options, handler, peer) => {
    const port = 'port' in peer ? peer.port : 0
    return connectUdp({ ...options, host: loopback, port }, handler)
  },
  keyOf: (address) => address !== undefined && 'port' in address ? String(address.port) : undefined,
  destination: (address) => address,
  exclusive: false,
}

let names = 0
const unusedName = (): string => `\0simulated-${names++}`

function pathOf(address: Address | undefined): string | undefined {
  return address !== undefined && 'path' in address && address.path !== '' ? address.path : undefined
}

function withDescriptors(fds: readonly number[]): { fds?: readonly number[] } {
  return fds.length === 0 ? {} : { fds }
}

const unixDatagram: MessageFamilyAdapter<datagram.DatagramSocket, PathAddress> = {
  bind: (options, handler) => datagram.bind({ ...options, path: unusedName() }, handler),
  connect: (options, handler, peer) => {
    const to = { path: pathOf(peer) ?? '', localPath: unusedName() }
    return datagram.connect({ ...options, ...to }, handler)
  },
  pair: (options, handler, other) =>
    datagram.socketpair(options, handler, other),
  keyOf: pathOf,
  destination: (address, fds) => {
    const path = pathOf(address)
    return { ...(path !== undefined && { path }), ...withDescriptors(fds) }
  },
  exclusive: true,
}

const unixSeqpacket: MessageFamilyAdapter<seqpacket.SeqpacketConnection, PathAddress> = {
  pair: (options, handler, other) =>
    seqpacket.socketpair(options, handler, other),
  end: (socket) => {
    socket.end()
  },
  keyOf: () => undefined,
  destination: (_address, fds) => withDescriptors(fds),
  exclusive: true,
}

export const messageAdapters: Readonly<Record<MessageFamilyName, MessageFamilyAdapter>> = {
  udp, datagram: unixDatagram, seqpacket: unixSeqpacket,
}
