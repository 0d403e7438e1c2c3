import type { Transport } from '@sheaf/ring'
import type { StreamFamily } from '../streams'

/** What the fault tests need to know besides: how programs of their own use the adapter. */
export interface FaultFamily<T extends Transport = Transport> extends StreamFamily<T> {
  /** The adapter's package. */
  readonly module: string
  /** Has resets: a peer that is reset is told so, whatever it has received. */
  readonly resets: boolean
  /** Options for `listen` at an address that nobody uses, as JSON. */
  listenOptions(): object
}

/** What the programs begin with. */
export function prelude(family: FaultFamily): string {
  return `
    import { createRing } from '@sheaf/ring'
    import { connect, listen } from '${family.module}'
    const { pattern, until } = await import('@sheaf/ring/testing')
    const say = (...words) => console.log(...words)
    /** Options for connect to what listens at an address. */
    const at = ({ path, address: host, port }) => path === undefined ? { host, port } : { path }
  `
}
