import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSeconds } from './cpu-time'
import type { Plan } from './plan'
import type { DrivenProgram, ProxyProgram } from './processes'
import type { Sample } from './results'

/** What is under way when the source stops, a few megabytes, takes the slowest variant half a second. */
const drainMs = 10_000
const pollMs = 5

/** Who sends and who receives, for all measurements. */
export interface Load {
  readonly source: DrivenProgram
  readonly sink: DrivenProgram
  readonly proxyHost: string
  readonly connections: number
}

interface Moment {
  readonly bytes: number
  readonly nanoseconds: bigint
  readonly cpuSeconds: number
}

/** How long to send before measuring, and how long to measure. */
export type MeasuredWindow = Pick<Plan, 'warmUpMs' | 'windowMs'>

/** Sends through a proxy for a while. @throws Error if nothing came through. */
export async function measure(load: Load, proxy: ProxyProgram, window: MeasuredWindow): Promise<Sample> {
  const { source, sink, proxyHost, connections } = load
  source.send({ kind: 'start', host: proxyHost, port: proxy.port, connections })
  await sleep(window.warmUpMs)
  const before = await moment(sink, proxy)
  await sleep(window.windowMs)
  const after = await moment(sink, proxy)
  source.send({ kind: 'stop' })
  await source.next('sent')
  await allClosed(sink)

  const bytes = after.bytes - before.bytes
  if (bytes === 0) throw new Error('nothing came through the proxy')
  const seconds = Number(after.nanoseconds - before.nanoseconds) / 1e9
  return {
    megabitsPerSecond: bytes * 8 / 1e6 / seconds,
    cpuSecondsPerGigabyte: (after.cpuSeconds - before.cpuSeconds) / (bytes / 1e9),
  }
}

async function moment(sink: DrivenProgram, proxy: ProxyProgram): Promise<Moment> {
  sink.send({ kind: 'count' })
  const { bytes, nanoseconds } = await sink.next('count')
  return { bytes, nanoseconds: BigInt(nanoseconds), cpuSeconds: cpuSeconds(proxy.processId) }
}

/** What one variant leaves behind must not be counted for the next. */
async function allClosed(sink: DrivenProgram): Promise<void> {
  const deadline = performance.now() + drainMs
  for (;;) {
    sink.send({ kind: 'count' })
    if ((await sink.next('count')).open === 0) return
    if (performance.now() > deadline) throw new Error('the proxy does not close connections that the source has ended')
    await sleep(pollMs)
  }
}
