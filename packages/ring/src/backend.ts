import { ringCapability } from './capabilities'
import { invalidArgumentType, invalidArgumentValue, SheafError } from './errors'
import { defaultRing, whyNoRing } from './default-ring'
import { Ring } from './ring'

/** What carries a socket: io_uring, or Node's own sockets (`node:net`, `node:dgram`). */
export type Backend = 'ring' | 'node'

/** Where a socket is made. */
export interface BackendOptions {
  /** Default: this thread's own, shared by all that name none. */
  ring?: Ring
  /**
   * `ring` wants io_uring or nothing (`ERR_SHEAF_UNAVAILABLE`); `node` wants Node's own sockets. Default: io_uring, and
   * where the kernel can't do it Node's sockets.
   */
  backend?: Backend
}

const backends: readonly Backend[] = ['ring', 'node']

/** @throws TypeError as Node would. */
export function checkBackendOptions({ ring, backend }: BackendOptions): void {
  if (ring !== undefined && !(ring instanceof Ring)) {
    throw invalidArgumentType('options.ring', 'an instance of Ring', ring)
  }
  if (backend !== undefined && !backends.includes(backend)) {
    throw invalidArgumentValue('options.backend', `must be one of: ${backends.join(', ')}`, backend)
  }
  if (backend === 'node' && ring !== undefined) {
    throw invalidArgumentValue('options.backend', 'must not be node where options.ring is given', backend)
  }
}

let told = false

/**
 * The ring that a socket is to be made on; undefined where it is Node's sockets. With `SHEAF_LOG=1` the first time that
 * is not what was asked for is said, and why.
 * @throws SheafError `ERR_SHEAF_UNAVAILABLE`, `ERR_SHEAF_RING_CLOSED`.
 */
export function ringFor({ ring, backend }: BackendOptions): Ring | undefined {
  if (backend === 'node') return undefined
  if (ring !== undefined) {
    ring.assertOpen()
    return ring
  }
  if (backend === 'ring') return defaultRing()
  const reason = whyNoRing()
  if (reason === '') return defaultRing()
  if (!told && process.env.SHEAF_LOG === '1') {
    console.error(`sheaf: Node's own sockets instead of io_uring: ${reason}`)
  }
  told = true
  return undefined
}

/** As {@link ringFor}, for what Node's sockets have nothing like. @throws SheafError `ERR_SHEAF_UNSUPPORTED` too. */
export function ringOnlyFor(options: BackendOptions, feature: string): Ring {
  const ring = ringFor(options)
  if (ring === undefined) throw unsupported(feature)
  return ring
}

/** The error of what Node's own sockets can't do. @param feature the subject of its sentence. */
export function unsupported(feature: string): SheafError {
  const { reason } = ringCapability()
  const why = reason === '' ? 'the option backend: \'node\' asks for Node\'s own sockets' : reason
  return new SheafError('ERR_SHEAF_UNSUPPORTED', `${feature} needs io_uring: ${why}`)
}
