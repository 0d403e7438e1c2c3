import { Metrics } from '../metrics'

/** What Node's own sockets of this thread have done and hold: the counterpart of a ring's `metrics` and `members`. */
export const nodeSockets = {
  /** Counted as on a ring, where it means something. */
  metrics: new Metrics(),
  /** Connections, listeners and datagram sockets that are not closed. */
  members: new Set<object>(),
}
