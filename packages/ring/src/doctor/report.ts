import type { Capabilities, Tier } from '@sheaf/ring'
import type { Examination } from './examination'

const tiers: Record<Tier, string> = {
  full: 'full: sockets run on io_uring, with bundles.',
  ring: 'ring: sockets run on io_uring, but not with all of it.',
  node: 'node: sockets run on Node\'s own, node:net and node:dgram.',
}

const features: Record<keyof Capabilities, string> = {
  ring: 'io_uring',
  deferredTaskRun: 'deferred task run',
  restrictions: 'rings restricted to socket operations',
  bundledSend: 'bundled send',
  bundledReceive: 'bundled receive',
  segmentedSend: 'UDP segmentation on sending',
  coalescedReceive: 'UDP coalescing on receipt',
}

/** An examination as a person would want to read it. */
export function report(examination: Examination): string {
  const { sheaf, node, platform, architecture, kernel, tier } = examination
  return [
    `Sheaf ${sheaf}, Node.js ${node}, ${platform} ${kernel} (${architecture})`,
    '',
    `Tier ${tiers[tier]}`,
    '',
    ...featureLines(examination.capabilities),
    ...section('Limits', limitLines(examination.limits)),
    ...section('Environment', Object.entries(examination.environment)),
  ].join('\n')
}

function featureLines(capabilities: Capabilities): string[] {
  const told = new Set<string>()
  return Object.entries(features).map(([name, title]) => {
    const { enabled, reason } = capabilities[name as keyof Capabilities]
    if (enabled) return `  yes  ${title}`
    // One reason for many things is said once.
    const why = told.has(reason) ? '' : `: ${reason}`
    told.add(reason)
    return `  no   ${title}${why}`
  })
}

function limitLines(limits: Examination['limits']): [string, string][] {
  const { openFiles, lockedMemory, ioUringDisabled, seccompFilter, backlog } = limits
  const { receiveBufferBytes, sendBufferBytes } = limits
  const lines: [string, string][] = []
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined) lines.push([name, value])
  }
  const raise = openFiles?.soft === openFiles?.hard ? '' : ` (\`ulimit -n\` may raise it to ${openFiles?.hard})`
  add('open files', openFiles && `${openFiles.soft}, one a socket${raise}`)
  add('locked memory', lockedMemory && `${lockedMemory.soft} bytes`)
  add('kernel.io_uring_disabled', ioUringDisabled?.toString())
  add('seccomp', seccompFilter === undefined ? undefined : seccompFilter ? 'a filter is in force' : 'no filter')
  add('longest backlog', backlog?.toString())
  add('largest receive buffer', receiveBufferBytes === undefined ? undefined : `${receiveBufferBytes} bytes`)
  add('largest send buffer', sendBufferBytes === undefined ? undefined : `${sendBufferBytes} bytes`)
  return lines
}

function section(title: string, lines: readonly [string, string][]): string[] {
  if (lines.length === 0) return []
  const width = Math.max(...lines.map(([name]) => name.length))
  return ['', title, ...lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)]
}
