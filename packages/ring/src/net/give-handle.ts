import { defaultRing, hasBeenConnected, SheafError } from '@sheaf/ring'
import type { AddressFamily, FamilyKind } from './address-family'
import { kindOfBound, takeBound } from './bound-socket'
import { callError } from './errors'
import { familyOfKind, kindOfDescriptor } from './families'
import type { Socket } from './socket'
import { handleEvents } from './socket-events'
import { SocketHandle } from './socket-handle'
import { state } from './socket-state'

/** Makes the socket's handle of a descriptor, connected or not. */
export function adopt(socket: Socket, fd: number): void {
  const ring = defaultRing()
  const handle = new SocketHandle(familyFor(kindOfDescriptor(ring, fd) as FamilyKind), handleEvents)
  setHandle(socket, handle)
  if (hasBeenConnected(ring.sockets, fd)) handle.adopt(fd)
  else handle.fd = fd
}

/** Makes the socket's handle of one that is bound, and to be connected. */
export function adoptBound(socket: Socket, given: unknown): void {
  const { kind, path, handle } = takeBound(given, kindOfBound(given) as FamilyKind)
  const fd = defaultRing().sockets.dup(handle.fd)
  if (fd < 0) {
    handle.close()
    throw callError(fd, 'open')
  }
  // Closing removes the file of a path.
  if (kind === 'pipe') socket.once('close', () => handle.close())
  else handle.close()
  socket[state].boundPath = path
  adopt(socket, fd)
}

function familyFor(kind: FamilyKind): AddressFamily {
  const family = familyOfKind(kind)
  if (family === undefined) throw new SheafError('ERR_SHEAF_UNAVAILABLE', `@sheaf/${packages[kind]} is not installed`)
  return family
}

const packages = { tcp: 'tcp', pipe: 'unix' } as const

export function giveHandle(socket: Socket, kind: FamilyKind): void {
  setHandle(socket, new SocketHandle(familyFor(kind), handleEvents))
}

export function setHandle(socket: Socket, handle: SocketHandle): void {
  (socket as unknown as { _undestroy(): void })._undestroy()
  socket._sockname = null
  handle.owner = socket
  const own = socket[state]
  own.handle = handle
  if (own.receiver !== undefined) handle.divert(own.receiver)
}
