import type { Ring } from '@sheaf/tcp'

/** What the proxy did, in the same words as the C program in `reference/`. */
export interface ProxySummary {
  /** User and system time of the process. */
  readonly cpuSeconds: number
  /** Bytes received. */
  readonly bytes: number
  /** Completions of receives and sends, and the buffers that they covered. */
  readonly receives: number
  readonly sends: number
  readonly buffersReceived: number
  readonly buffersSent: number
  /** Times a receive had to wait for buffers. */
  readonly parks: number
  /** Bytes that were copied because pool or queue were full. */
  readonly spilledBytes: number
}

export function summarize(ring: Ring): ProxySummary {
  const { metrics } = ring
  const { user, system } = process.cpuUsage()
  return {
    cpuSeconds: (user + system) / 1e6,
    bytes: metrics.bytesRead,
    receives: metrics.receives,
    sends: metrics.sends,
    buffersReceived: metrics.receiveBuffers,
    buffersSent: metrics.sendBuffers,
    parks: metrics.parks,
    spilledBytes: metrics.spilledBytes,
  }
}

function ratio(count: number, per: number): string {
  return per === 0 ? '-' : (count / per).toFixed(1)
}

/** One line about what happened between two summaries. */
export function describe(before: ProxySummary, after: ProxySummary, seconds: number, connections: number): string {
  const bytes = after.bytes - before.bytes
  const megabits = bytes * 8 / 1e6 / seconds
  const cpu = after.cpuSeconds - before.cpuSeconds
  return [
    `${megabits.toFixed(0)} Mbit/s`,
    `${connections} ${connections === 1 ? 'connection' : 'connections'}`,
    `${(cpu / seconds * 100).toFixed(0)} % of a CPU`,
    `${ratio(after.buffersReceived - before.buffersReceived, after.receives - before.receives)} buffers a receive`,
    `${ratio(after.buffersSent - before.buffersSent, after.sends - before.sends)} a send`,
  ].join(', ')
}
