/** What the lab and its source and sink programs tell each other, over Node's IPC channel. */

/** To the source: send until told to stop, or until every connection has sent `bytesEach`. */
export interface StartSending {
  readonly kind: 'start'
  readonly host: string
  readonly port: number
  readonly connections: number
  /** Bytes each connection sends before it ends; unlimited when absent. */
  readonly bytesEach?: number
}

/** To the source: end all connections, in order. */
export interface StopSending {
  readonly kind: 'stop'
}

/** To the sink: say how much has arrived. */
export interface AskCount {
  readonly kind: 'count'
}

export type ToProgram = StartSending | StopSending | AskCount

/** From either, once: it can be used. `port` is the sink's. */
export interface Ready {
  readonly kind: 'ready'
  readonly port?: number
}

/** From the source: every connection has ended; `bytes` were accepted by the kernel, headers included. */
export interface Sent {
  readonly kind: 'sent'
  readonly bytes: number
  readonly error?: string
}

/** From the sink. */
export interface Count {
  readonly kind: 'count'
  /** Bytes since the program started. */
  readonly bytes: number
  /** `process.hrtime.bigint()` when it was counted, as a string; all processes of a machine have the same clock. */
  readonly nanoseconds: string
  readonly open: number
  readonly ended: number
  /** The first byte that is not what the source sent, when verifying. */
  readonly mismatch?: string
}

export type FromProgram = Ready | Sent | Count
