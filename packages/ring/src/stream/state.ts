import { invariant } from '../errors'
import type { TransportState } from '../transport'

/** Where each state may lead. Nothing leads back. */
const next: Record<TransportState, readonly TransportState[]> = {
  connecting: ['open', 'closing'],
  open: ['ended', 'closing'],
  ended: ['closing'],
  closing: ['closed'],
  closed: [],
}

/** Asserted at every change of a connection's state. */
export function assertTransition(from: TransportState, to: TransportState): void {
  invariant(next[from].includes(to), `a connection goes from ${from} to ${to}`)
}
