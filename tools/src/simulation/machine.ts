import type { SocketCalls } from '@sheaf/native'
import type { Ring, Transport } from '@sheaf/ring'

/** A kernel, simulated or Linux, with two rings in it and the event loop over them: what a program runs on. */
export interface Machine {
  readonly rings: readonly Ring[]
  readonly sockets: SocketCalls
  /** Time as the rings see it. */
  readonly nowMs: number
  /** Datagrams that the kernel has not kept, if it can be asked. */
  readonly datagramsLost: number | undefined
  /** Whether the other end has sent its FIN, and it has arrived, if the machine can be asked. */
  peerFinished(transport: Transport): boolean | undefined
  begin(): void
  /** Closes the rings, whatever is in them. */
  end(): void
  /** Turns of the event loop. @param after called after each. */
  turn(times: number, after?: () => void): Promise<void>
  /**
   * Turns until nothing happens any more.
   * @param see what can be seen then.
   * @returns false if that takes more than `turnsMax`.
   */
  rest(turnsMax: number, see: () => string): Promise<boolean>
  /** @throws if something was seen to be wrong. */
  checkNow(): void
  /** @throws Violation if anything is left of rings that are closed. */
  checkFinally(): void
}
