import { stockNet } from '@sheaf/ring'
import type { FamilyKind } from './address-family'
import type { ForeignHandle } from './foreign-handle'

/**
 * `net.BoundSocket`, which Node has from 24.21 on: an address that is taken already, for one server to listen on or one
 * socket to connect from. It is Node's own; Sheaf takes the socket out of it.
 */
interface BoundSocket {
  readonly isPipe: boolean
  address(): unknown
}

/** What was in a {@link BoundSocket}. */
export interface Bound {
  readonly kind: FamilyKind
  /** Where a socket of the kind `pipe` is bound. */
  readonly path: string
  /** Node's handle. A pipe's removes the file when it is closed. */
  readonly handle: ForeignHandle
}

const { BoundSocket } = stockNet as unknown as { BoundSocket?: abstract new () => BoundSocket }

/** Node's name for taking the handle out, which is not exported. */
const consume = Object.getOwnPropertySymbols(BoundSocket?.prototype ?? {})
  .find(({ description }) => description === 'kBoundSocketConsume')

/** @returns undefined for anything else. */
export function kindOfBound(value: unknown): FamilyKind | undefined {
  if (BoundSocket === undefined || consume === undefined || !(value instanceof BoundSocket)) return undefined
  return value.isPipe ? 'pipe' : 'tcp'
}

/** @throws Error `ERR_SOCKET_HANDLE_ADOPTED` if somebody was before. */
export function takeBound(value: unknown, kind: FamilyKind): Bound {
  const bound = value as BoundSocket & Record<symbol, () => ForeignHandle>
  const path = kind === 'pipe' ? bound.address() as string : ''
  return { kind, path, handle: bound[consume as symbol]() }
}
