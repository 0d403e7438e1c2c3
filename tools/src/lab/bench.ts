import { fileURLToPath } from 'node:url'
import { median } from '../median'
import type { Hosts } from './hosts'
import { type Load, measure } from './measure'
import { buffersFor, type Plan } from './plan'
import type { Processes, ProxyProgram } from './processes'
import type { ReferenceRatio, Result, Sample } from './results'
import { bundles, referenceBundles, type Variant } from './variants'

/** What a proxy on Sheaf or in C prints at the end, as far as the lab needs it. */
interface Summary {
  readonly receives: number
  readonly sends: number
  readonly buffersReceived: number
  readonly buffersSent: number
}

export interface BenchOptions {
  readonly plan: Plan
  readonly variants: readonly Variant[]
  readonly connections: number
  /** Path of the C program, when a variant uses it. */
  readonly referenceProgram: string | undefined
  /** Told before each measurement what it will be. */
  onMeasurement(variant: Variant, bufferBytes: number): void
}

/** A proxy that is up, and what has been measured of it. */
interface Candidate {
  readonly variant: Variant
  readonly proxy: ProxyProgram
  readonly samples: Sample[]
}

/** Measures every variant at every size: the variants take turns, so that what disturbs one disturbs all. */
export async function bench(hosts: Hosts, processes: Processes, options: BenchOptions): Promise<Result[]> {
  const node = process.execPath
  const sink = await processes.startDriven(hosts.sink, 'load', [node, program('lab-sink'), hosts.sinkAddress, '0'])
  const source = await processes.startDriven(hosts.source, 'load', [node, program('lab-source')])
  const load: Load = { source, sink, proxyHost: hosts.proxyAddress, connections: options.connections }

  const results: Result[] = []
  for (const bufferBytes of options.plan.bufferSizesBytes) {
    const candidates = await Promise.all(options.variants.map(async (variant): Promise<Candidate> => {
      const command = proxyCommand(variant, bufferBytes, hosts, sink.port, options.referenceProgram)
      return { variant, proxy: await processes.startProxy(hosts.proxy, command), samples: [] }
    }))
    for (let round = 0; round < options.plan.rounds; round++) {
      const { firstWarmUpMs, warmUpMs, windowMs } = options.plan
      const window = { warmUpMs: round === 0 ? firstWarmUpMs : warmUpMs, windowMs }
      for (const { variant, proxy, samples } of candidates) {
        options.onMeasurement(variant, bufferBytes)
        samples.push(await measure(load, proxy, window))
      }
    }
    results.push(...await Promise.all(candidates.map((candidate) => conclude(candidate, bufferBytes))))
  }
  return results
}

function program(name: string): string {
  return fileURLToPath(new URL(`./${name}.js`, import.meta.url))
}

function proxyCommand(
  variant: Variant,
  bufferBytes: number,
  hosts: Hosts,
  sinkPort: number,
  referenceProgram: string | undefined,
): string[] {
  if (variant.program === 'node') {
    return [process.execPath, program('lab-pipe'), hosts.proxyAddress, '0', hosts.sinkAddress, `${sinkPort}`]
  }
  const flags = [
    '--listen', `${hosts.proxyAddress}:0`,
    '--to', `${hosts.sinkAddress}:${sinkPort}`,
    '--buffer', `${bufferBytes}`,
    '--buffers', `${buffersFor(bufferBytes)}`,
    ...variant.flags,
    '--stats',
  ]
  if (variant.program === 'sheaf') return [process.execPath, program('proxy'), ...flags]
  if (referenceProgram === undefined) throw new Error('the C program has not been built')
  return [referenceProgram, ...flags]
}

async function conclude({ variant, proxy, samples }: Candidate, bufferBytes: number): Promise<Result> {
  const printed = await proxy.stop()
  return {
    variant: variant.name,
    bufferBytes,
    buffers: buffersFor(bufferBytes),
    megabitsPerSecond: median(samples.map((sample) => sample.megabitsPerSecond)),
    cpuSecondsPerGigabyte: median(samples.map((sample) => sample.cpuSecondsPerGigabyte)),
    samples,
    ...variant.program !== 'node' && bundleSizes(printed),
  }
}

function bundleSizes(printed: string): Pick<Result, 'buffersPerReceive' | 'buffersPerSend'> {
  const summary = JSON.parse(printed) as Summary
  return {
    buffersPerReceive: summary.buffersReceived / summary.receives,
    buffersPerSend: summary.buffersSent / summary.sends,
  }
}

/** CPU per byte of Sheaf's proxy over the C program's: the median over the rounds, where one follows the other. */
export function referenceRatios(results: readonly Result[]): ReferenceRatio[] {
  return results.filter(({ variant }) => variant === bundles.name).flatMap(({ bufferBytes, samples }) => {
    const reference = results.find((other) =>
      other.variant === referenceBundles.name && other.bufferBytes === bufferBytes)
    if (reference === undefined) return []
    const ratios = samples.map(({ cpuSecondsPerGigabyte }, round) =>
      cpuSecondsPerGigabyte / (reference.samples[round]?.cpuSecondsPerGigabyte ?? NaN))
    return [{ bufferBytes, cpuRatio: median(ratios) }]
  })
}
